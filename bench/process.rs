//! What a process has used, from /proc.

use std::fs;
use std::ops::Sub;

/// CPU seconds (proc(5), stat's utime and stime).
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

/// What a process has used so far.
pub fn cpu(pid: u32) -> Result<Cpu, String> {
    let stat = read(pid, "stat")?;
    // The name stands in parentheses and may hold spaces.
    let after = stat.rsplit(')').next().unwrap_or_default();
    // USER_HZ is 100 on every Linux that Rust runs on.
    let field = |index: usize| -> Option<f64> {
        let ticks: f64 = after.split_whitespace().nth(index)?.parse().ok()?;
        Some(ticks / 100.0)
    };
    let (user, system) = field(11).zip(field(12)).ok_or("no utime in stat")?;
    Ok(Cpu { user, system })
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
