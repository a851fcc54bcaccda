//! Publishers, many subscribers, and what that costs the server.

mod api;
mod arguments;
mod endpoint;
mod figures;
mod limit;
mod load;
mod process;
mod publisher;
mod sdp;
mod search;

use std::process::ExitCode;

use arguments::{Arguments, USAGE};
use load::Load;

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    match arguments {
        Arguments::Limit { seconds } => limit::run(*seconds),
        Arguments::Run(plan) => {
            let mut load = Load::connect(plan)?;
            if plan.search {
                return search::run(&mut load, plan);
            }
            println!("{}", load.measure(plan.publishers, plan.seconds)?.json());
            Ok(())
        }
    }
}
