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
    // The clock of the CPU is there on virtual machines too.
    let record = ["record", "-q", "-e", "cpu-clock", "-F", "4000", "-o", file];
    perf(&record, pid, time)
}

/// The same with the calls that led there, kernel's and program's. A program needs no frame pointers for it: each sample
/// holds what is on the stack, which `perf script` unwinds later. That is as deep as a worker's calls go.
pub fn sample_calls(pid: u32, time: Duration, file: &str) -> Result<Child, String> {
    let record = ["record", "-q", "-e", "cpu-clock", "-F", "2000", "-o", file];
    let chains = ["--call-graph", "dwarf,32768"];
    perf(&[&record[..], &chains].concat(), pid, time)
}

/// Begins to count how often a process calls the kernel and is switched out, for so long.
pub fn count(pid: u32, time: Duration) -> Result<Child, String> {
    let events = format!("{SYSTEM_CALLS},{SWITCHES}");
    // Counts come on stderr, a line for each, with fields between commas.
    perf(&["stat", "-x,", "-e", &events], pid, time)
}

/// As perf names these events.
const SYSTEM_CALLS: &str = "raw_syscalls:sys_enter";
const SWITCHES: &str = "context-switches";

/// What was counted.
pub struct Counts {
    pub system_calls: u64,
    pub switches: u64,
}

impl Counts {
    /// From what perf printed.
    fn read(printed: &str) -> Result<Counts, String> {
        let of = |event: &str| {
            let line = (printed.lines()).find(|line| line.contains(&format!(",{event}")));
            let count = line.and_then(|line| line.split(',').next()?.parse().ok());
            count.ok_or_else(|| format!("perf did not count {event}:\n{printed}"))
        };
        Ok(Counts {
            system_calls: of(SYSTEM_CALLS)?,
            switches: of(SWITCHES)?,
        })
    }
}

fn perf(what: &[&str], pid: u32, time: Duration) -> Result<Child, String> {
    let mut perf = Command::new("perf");
    perf.args(what).args(["-p", &pid.to_string()]);
    perf.args(["--", "sleep", &time.as_secs_f64().to_string()]);
    perf.stdout(Stdio::null()).stderr(Stdio::piped());
    perf.spawn().map_err(|error| format!("perf: {error}"))
}

/// Waits until all samples are written; gives what perf printed.
pub fn end_sampling(perf: Child) -> Result<String, String> {
    let output = (perf.wait_with_output()).map_err(|error| format!("perf: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status {
        status if status.success() => Ok(printed),
        status => Err(format!("perf ended with {status}: {printed}")),
    }
}

/// Waits until all is counted.
pub fn end_counting(perf: Child) -> Result<Counts, String> {
    Counts::read(&end_sampling(perf)?)
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

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn counts_are_read_from_what_perf_prints() {
        let printed = "24860,,raw_syscalls:sys_enter,2001144620,100.00,,\n\
                       1204,,context-switches,2001144620,100.00,601.654,/sec\n";
        let counts = Counts::read(printed).unwrap();
        assert_eq!((counts.system_calls, counts.switches), (24860, 1204));
    }

    #[test]
    fn a_count_that_is_not_there_is_no_zero() {
        let printed = "<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n\
                       1204,,context-switches,2001144620,100.00,601.654,/sec\n";
        assert!(Counts::read(printed).is_err());
    }
}
