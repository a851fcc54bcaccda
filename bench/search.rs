//! How much the server carries: publishers are added until packets are lost or late.

use crate::arguments::Plan;
use crate::crew::Crew;
use crate::figures::Figures;

/// What still counts as carried.
const MAX_LOSS: f64 = 0.001;
const MAX_P99_US: u32 = 20_000;
/// Of one step: enough frames to see the hundredth part of them late.
const STEP_SECONDS: u64 = 3;
/// Parts of the highest load at which the cost of a packet is measured, in percent.
const PARTS: [usize; 3] = [10, 50, 90];

/// Prints each step, then the measurements at parts of the highest load; gives how many publish in the last of them.
pub fn run(crew: &mut Crew, plan: &Plan) -> Result<usize, String> {
    let (mut carried, mut failed) = (0, plan.publishers + 1);
    while failed - carried > 1 {
        let publishers = if carried == 0 && failed > plan.publishers {
            plan.publishers
        } else {
            (carried + failed) / 2
        };
        let mut figures = crew.measure(publishers, STEP_SECONDS)?;
        let is_carried = is_carried(&mut figures);
        print(&mut figures, if is_carried { "carried" } else { "failed" });
        if is_carried {
            carried = publishers;
        } else {
            failed = publishers;
        }
    }
    if carried == 0 {
        return Err("not even one publisher is carried".into());
    }
    print(&mut crew.measure(carried, plan.seconds)?, "highest");
    let mut publishers = carried;
    for part in PARTS {
        publishers = (carried * part).div_ceil(100);
        print(
            &mut crew.measure(publishers, plan.seconds)?,
            &format!("{part} %"),
        );
    }
    Ok(publishers)
}

fn is_carried(figures: &mut Figures) -> bool {
    figures.loss() <= MAX_LOSS && figures.p99() <= MAX_P99_US && figures.settled().is_ok()
}

fn print(figures: &mut Figures, step: &str) {
    let mut line = figures.json();
    line["step"] = step.into();
    println!("{line}");
}
