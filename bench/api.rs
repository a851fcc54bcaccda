//! The Connection API, as any client calls it.

use serde_json::{Value, json};

/// One app of one server.
pub struct Api {
    /// E.g. `http://127.0.0.1:8080/v1`.
    pub base: String,
    /// 32 hex digits.
    pub app: String,
    /// The app's secret.
    pub secret: String,
    /// Keeps connections open.
    pub agent: ureq::Agent,
}

impl Api {
    /// Makes a session and gives its ID.
    pub fn new_session(&self) -> Result<String, String> {
        let answer = self.send("POST", "/sessions/new", &json!({}))?;
        text(&answer["sessionId"])
    }

    /// Publishes the offer's only m-line and gives the answer's SDP.
    pub fn push(
        &self,
        session: &str,
        offer: &str,
        mid: &str,
        name: &str,
    ) -> Result<String, String> {
        let body = json!({
            "sessionDescription": { "type": "offer", "sdp": offer },
            "tracks": [{ "location": "local", "mid": mid, "trackName": name }],
        });
        let answer = self.send("POST", &format!("/sessions/{session}/tracks/new"), &body)?;
        text(&answer["sessionDescription"]["sdp"])
    }

    /// Pulls a track and gives the SDP of the server's offer, or of its answer where `offer` is ours: some servers
    /// that are measured beside Switchyard take offers only.
    pub fn pull(
        &self,
        session: &str,
        publisher: &str,
        name: &str,
        offer: Option<&str>,
    ) -> Result<String, String> {
        let mut body = json!({
            "tracks": [{ "location": "remote", "sessionId": publisher, "trackName": name }],
        });
        if let Some(sdp) = offer {
            body["sessionDescription"] = json!({ "type": "offer", "sdp": sdp });
        }
        let answer = self.send("POST", &format!("/sessions/{session}/tracks/new"), &body)?;
        text(&answer["sessionDescription"]["sdp"])
    }

    /// Answers the server's offer.
    pub fn renegotiate(&self, session: &str, answer: &str) -> Result<(), String> {
        let body = json!({ "sessionDescription": { "type": "answer", "sdp": answer } });
        self.send("PUT", &format!("/sessions/{session}/renegotiate"), &body)
            .map(drop)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("{}/apps/{}{path}", self.base, self.app);
        let request = match method {
            "PUT" => self.agent.put(&url),
            _ => self.agent.post(&url),
        };
        let mut response = request
            .header("authorization", format!("Bearer {}", self.secret))
            .config()
            .http_status_as_error(false)
            .build()
            .send_json(body)
            .map_err(|error| format!("{method} {path}: {error}"))?;
        let status = response.status();
        let answer: Value = response
            .body_mut()
            .read_json()
            .map_err(|error| format!("{method} {path}: {error}"))?;
        if status.is_success() {
            Ok(answer)
        } else {
            Err(format!(
                "{method} {path}: {status} {}",
                answer["errorDescription"]
            ))
        }
    }
}

fn text(value: &Value) -> Result<String, String> {
    let found = value.as_str().map(str::to_owned);
    found.ok_or_else(|| format!("the answer lacks a string: {value}"))
}
