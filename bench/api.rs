//! The Connection API, as any client calls it.

use serde_json::{Value, json};

use crate::arguments::Plan;

/// Of one request.
pub const MAX_TRACKS: usize = 64;

/// One app of one server.
#[derive(Clone)]
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
    /// The app that the command line names.
    pub fn new(plan: &Plan) -> Api {
        Api {
            base: plan.base.clone(),
            app: plan.app.clone(),
            secret: plan.secret.clone(),
            agent: ureq::Agent::new_with_defaults(),
        }
    }

    /// Makes a session and gives its ID.
    pub fn new_session(&self) -> Result<String, String> {
        let answer = self.send("POST", "/sessions/new", &json!({}))?;
        text(&answer["sessionId"])
    }

    /// Publishes the offer's m-lines, by mid and name, and gives the answer's SDP.
    pub fn push(
        &self,
        session: &str,
        offer: &str,
        tracks: &[(&str, &str)],
    ) -> Result<String, String> {
        let tracks: Vec<Value> = (tracks.iter())
            .map(|(mid, name)| json!({ "location": "local", "mid": mid, "trackName": name }))
            .collect();
        let body = json!({
            "sessionDescription": { "type": "offer", "sdp": offer },
            "tracks": tracks,
        });
        let answer = self.send("POST", &format!("/sessions/{session}/tracks/new"), &body)?;
        text(&answer["sessionDescription"]["sdp"])
    }

    /// Pulls a track, of its encodings the one with this rid while the way carries it, and gives the SDP of the server's offer, or of its answer where `offer` is ours: some servers
    /// that are measured beside Switchyard take offers only.
    pub fn pull(
        &self,
        session: &str,
        publisher: &str,
        name: &str,
        rid: Option<&str>,
        offer: Option<&str>,
    ) -> Result<String, String> {
        let mut track = remote(publisher, name);
        if let Some(rid) = rid {
            track["simulcast"] = json!({ "preferredRid": rid, "priorityOrdering": "asciibetical" });
        }
        let mut body = json!({ "tracks": [track] });
        if let Some(sdp) = offer {
            body["sessionDescription"] = json!({ "type": "offer", "sdp": sdp });
        }
        let answer = self.send("POST", &format!("/sessions/{session}/tracks/new"), &body)?;
        text(&answer["sessionDescription"]["sdp"])
    }

    /// Pulls tracks, by session and name, `MAX_TRACKS` at most, and gives the SDP of the server's offer.
    pub fn pull_all(&self, session: &str, tracks: &[(&str, &str)]) -> Result<String, String> {
        let tracks: Vec<Value> = (tracks.iter())
            .map(|(publisher, name)| remote(publisher, name))
            .collect();
        let path = format!("/sessions/{session}/tracks/new");
        let answer = self.send("POST", &path, &json!({ "tracks": tracks }))?;
        let items = answer["tracks"].as_array().into_iter().flatten();
        if let Some(item) = { items }.find(|item| !item["errorCode"].is_null()) {
            return Err(format!(
                "a track was not pulled: {}",
                item["errorDescription"]
            ));
        }
        text(&answer["sessionDescription"]["sdp"])
    }

    /// Answers the server's offer.
    pub fn renegotiate(&self, session: &str, answer: &str) -> Result<(), String> {
        let body = json!({ "sessionDescription": { "type": "answer", "sdp": answer } });
        self.send("PUT", &format!("/sessions/{session}/renegotiate"), &body)
            .map(drop)
    }

    /// Offers data channels and gives the answer's SDP.
    pub fn establish(&self, session: &str, offer: &str) -> Result<String, String> {
        let body = json!({
            "dataChannel": { "location": "remote", "dataChannelName": "server-events" },
            "sessionDescription": { "type": "offer", "sdp": offer },
        });
        let path = format!("/sessions/{session}/datachannels/establish");
        text(&self.send("POST", &path, &body)?["sessionDescription"]["sdp"])
    }

    /// Publishes a data channel, or subscribes to that of a session, and gives its stream.
    pub fn new_channel(
        &self,
        session: &str,
        publisher: Option<&str>,
        name: &str,
        retransmits: Option<u32>,
    ) -> Result<u16, String> {
        let mut channel = json!({ "location": "local", "dataChannelName": name });
        if let Some(publisher) = publisher {
            channel["location"] = "remote".into();
            channel["sessionId"] = publisher.into();
        }
        if let Some(retransmits) = retransmits {
            channel["ordered"] = false.into();
            channel["maxRetransmits"] = retransmits.into();
        }
        let body = json!({ "dataChannels": [channel] });
        let path = format!("/sessions/{session}/datachannels/new");
        let answer = self.send("POST", &path, &body)?;
        let id = answer["dataChannels"][0]["id"].as_u64();
        let id = id.and_then(|id| u16::try_from(id).ok());
        id.ok_or_else(|| format!("no data channel: {}", answer["dataChannels"][0]))
    }

    /// The status of a session's data channel of that name: `active`, `inactive` or `initializing`.
    pub fn channel_status(&self, session: &str, name: &str) -> Result<String, String> {
        let state = self.send("GET", &format!("/sessions/{session}"), &Value::Null)?;
        let channels = state["dataChannels"].as_array().into_iter().flatten();
        let mut named = channels.filter(|channel| channel["dataChannelName"] == name);
        text(&named.next().ok_or("no such channel")?["status"])
    }

    /// A count of the engine's, by its name without prefix.
    pub fn count(&self, name: &str) -> Result<u64, String> {
        let url = format!("{}/metrics", self.base.trim_end_matches("/v1"));
        let metrics = self.agent.get(&url).call();
        let metrics = metrics.and_then(|mut answer| answer.body_mut().read_to_string());
        let metrics = metrics.map_err(|error| format!("GET /metrics: {error}"))?;
        let prefix = format!("switchyard_engine_{name}");
        let mut values = metrics.lines().filter_map(|line| {
            let (found, value) = line.split_once(' ')?;
            let found = found.split('{').next()?;
            (found == prefix || found == format!("{prefix}_total")).then(|| value.parse().ok())?
        });
        values.next().ok_or_else(|| format!("no count {name}"))
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("{}/apps/{}{path}", self.base, self.app);
        let bearer = format!("Bearer {}", self.secret);
        let sent = match method {
            "GET" => (self
                .agent
                .get(&url)
                .header("authorization", bearer)
                .config())
            .http_status_as_error(false)
            .build()
            .call(),
            "PUT" => (self.agent.put(&url))
                .header("authorization", bearer)
                .config()
                .http_status_as_error(false)
                .build()
                .send_json(body),
            _ => (self.agent.post(&url))
                .header("authorization", bearer)
                .config()
                .http_status_as_error(false)
                .build()
                .send_json(body),
        };
        let mut response = sent.map_err(|error| format!("{method} {path}: {error}"))?;
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

fn remote(publisher: &str, name: &str) -> Value {
    json!({ "location": "remote", "sessionId": publisher, "trackName": name })
}

fn text(value: &Value) -> Result<String, String> {
    let found = value.as_str().map(str::to_owned);
    found.ok_or_else(|| format!("the answer lacks a string: {value}"))
}
