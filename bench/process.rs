//! What a process has used, from /proc.

use std::fs;

/// CPU seconds in user and kernel mode together (proc(5), stat's utime and stime).
pub fn cpu_seconds(pid: u32) -> Result<f64, String> {
    let stat = read(pid, "stat")?;
    // The name stands in parentheses and may hold spaces.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let field = |index: usize| -> Option<f64> { after.split_whitespace().nth(index)?.parse().ok() };
    let ticks = field(11).zip(field(12)).ok_or("no utime in stat")?;
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok((ticks.0 + ticks.1) / 100.0)
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
