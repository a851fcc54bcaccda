//! What a process has used, from /proc.

use std::fs;
use std::ops::Sub;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// CPU seconds.
#[derive(Clone, Copy)]
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

impl Cpu {
    /// Both together.
    pub fn all(self) -> f64 {
        self.user + self.system
    }
}

impl Sub for Cpu {
    type Output = Cpu;

    fn sub(self, earlier: Cpu) -> Cpu {
        Cpu {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
        }
    }
}

/// What a process has used so far. The sum is exact; how it is divided is sampled by the kernel in hundredths of a second.
pub fn cpu(pid: u32) -> Result<Cpu, String> {
    let stat = read(pid, "stat")?;
    // The name stands in parentheses and may hold spaces.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |index: usize| -> Option<f64> { after.split_whitespace().nth(index)?.parse().ok() };
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("no utime in stat")?;
    let all = on_cpu(pid)?;
    let user = all * user / (user + system).max(1.0);
    Ok(Cpu {
        user,
        system: all - user,
    })
}

/// Seconds that the process's threads have run; of those that have ended nothing is told.
fn on_cpu(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut nanoseconds = 0.0;
    for thread in threads.flatten() {
        let path = thread.path().join("schedstat");
        // A thread may end while its line is looked for.
        let line = fs::read_to_string(path).unwrap_or_default();
        let first = line.split_whitespace().next();
        nanoseconds += first.and_then(|text| text.parse().ok()).unwrap_or(0.0);
    }
    Ok(nanoseconds / 1e9)
}

/// Begins to take samples of where a process is, for so long, into a file.
pub fn sample(pid: u32, time: Duration, file: &str) -> Result<Child, String> {
    let mut perf = Command::new("perf");
    // The clock of the CPU is there on virtual machines too.
    perf.args(["record", "-q", "-e", "cpu-clock", "-F", "4000", "-o", file])
        .args([
            "-p",
            &pid.to_string(),
            "--",
            "sleep",
            &time.as_secs_f64().to_string(),
        ])
        .stdout(Stdio::null());
    perf.spawn().map_err(|error| format!("perf: {error}"))
}

/// Waits until all samples are written.
pub fn end_sampling(mut perf: Child) -> Result<(), String> {
    let status = perf.wait().map_err(|error| format!("perf: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("perf ended with {status}"))
    }
}

/// Resident memory in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64, String> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes
        .map(|kb| kb * 1024)
        .ok_or_else(|| "no VmRSS in status".into())
}

fn read(pid: u32, name: &str) -> Result<String, String> {
    let path = format!("/proc/{pid}/{name}");
    fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
}
