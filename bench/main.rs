//! One publisher, many subscribers, and what that costs the engine.
//!
//! usage: switchyard-bench BASE_URL APP_ID SECRET ENGINE_PID [SUBSCRIBERS] [SECONDS] [BITS_PER_SECOND]

mod api;
mod endpoint;
mod load;
mod process;
mod publisher;
mod sdp;

use std::process::ExitCode;

use api::Api;
use load::{Load, Plan};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, app, secret, pid, rest @ ..] = &arguments[..] else {
        return Err("usage: switchyard-bench BASE_URL APP_ID SECRET ENGINE_PID [SUBSCRIBERS] [SECONDS] [BITS_PER_SECOND]".into());
    };
    let number = |index: usize, default: u64| match rest.get(index) {
        Some(text) => text.parse().map_err(|_| format!("not a number: {text}")),
        None => Ok(default),
    };
    let plan = Plan {
        subscribers: number(0, 50)? as usize,
        seconds: number(1, 10)?,
        bits_per_second: number(2, 2_500_000)?,
        engine: pid
            .parse()
            .map_err(|_| format!("not a process ID: {pid}"))?,
    };
    let api = Api {
        base: base.clone(),
        app: app.clone(),
        secret: secret.clone(),
    };
    let result = Load::connect(&api, &plan)?.measure(&plan)?;
    println!("{result}");
    Ok(())
}
