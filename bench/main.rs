//! Publishers, many subscribers, and what that costs the server.

mod api;
mod arguments;
mod association;
mod checks;
mod crew;
mod crowd;
mod datachannels;
mod endpoint;
mod figures;
mod growth;
mod hostile;
mod limit;
mod load;
mod measuring;
mod packets;
mod process;
mod publisher;
mod room;
mod sdp;
mod search;
mod sockets;
mod subscribing;

use std::process::ExitCode;

use arguments::{Arguments, USAGE};
use crew::Crew;
use measuring::Look;

fn main() -> ExitCode {
    // Each endpoint has a socket.
    let _ = switchyard_net::raise_descriptor_limit();
    let mut given = std::env::args().skip(1);
    if let Some(kind @ ("watch" | "room")) = given.next().as_deref() {
        return ended(crowd::run(kind, given));
    }
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}\n{}", crowd::USAGE);
            return ExitCode::from(2);
        }
    };
    ended(run(&arguments))
}

fn ended(result: Result<(), String>) -> ExitCode {
    match result {
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
        Arguments::DataChannels(plan) => datachannels::run(plan),
        Arguments::Meeting(plan) => growth::meeting(plan),
        Arguments::Hostile(plan) => hostile::run(plan),
        Arguments::Idle(plan, sizes) => growth::idle(plan, sizes),
        Arguments::Run(plan) => {
            let mut crew = Crew::connect(plan)?;
            let publishers = if plan.search {
                search::run(&mut crew, plan)?
            } else {
                let mut figures = crew.measure(plan.publishers, plan.seconds)?;
                println!("{}", figures.json());
                figures.settled()?;
                plan.publishers
            };
            if let Some(file) = plan.calls.clone() {
                let figures = crew.look(publishers, plan.seconds, Look::Calls(file))?;
                figures.counted().iter().for_each(|line| println!("{line}"));
            }
            Ok(())
        }
    }
}
