//! What the operating system tells of processes, and where it is told to run them (Linux).

use std::fs;
use std::thread;

/// `USER_HZ`, the unit of times in `/proc`: 100 on every Linux of today.
const TICK_US: u64 = 10_000;

/// User and system time of a process so far, all its threads together, in microseconds (`proc_pid_stat(5)`).
pub(crate) fn cpu_us(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name of the program stands in parentheses and may hold anything; utime and stime are fields 14 and 15.
    let after_name = &stat[stat.rfind(')').unwrap() + 2..];
    let ticks = after_name.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
    ticks.sum::<u64>() * TICK_US
}

/// The memory of a process, in bytes.
pub(crate) enum Memory {
    /// That is resident now.
    Resident,
    /// The most that ever was.
    Peak,
}

/// How much memory a process has.
pub(crate) fn memory(pid: u32, which: &Memory) -> u64 {
    let name = match which {
        Memory::Resident => "VmRSS:",
        Memory::Peak => "VmHWM:",
    };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

/// How many threads can run at once.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Keeps the calling thread, and what it starts from now on, on the first core that this process may use, or off it.
#[cfg(target_os = "linux")]
pub(crate) fn pin(to_first: bool) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).unwrap();
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let Some((first, rest @ [_, ..])) = cpus.split_first() else { return };
    let mut set = CpuSet::new();
    for cpu in if to_first { std::slice::from_ref(first) } else { rest } {
        set.set(*cpu);
    }
    sched_setaffinity(None, &set).unwrap();
}

/// Threads cannot be kept on a core here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(_: bool) {}

/// Lowers the priority of the calling thread.
pub(crate) fn be_nice(niceness: i32) {
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), niceness).unwrap();
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}
