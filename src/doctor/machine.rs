//! The process of the server and what it owns: whose it is, how many files it may open, who can read its secrets.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use super::finding::Finding;
use crate::config::{Config, control_socket, secrets_in};
use crate::open_files;

/// The process that serves a data directory.
#[derive(Debug)]
pub(super) struct Process {
    /// `None` where the system does not tell.
    pid: Option<i32>,
    uid: u32,
}

/// Who listens at the control socket. Nothing is asked of it.
pub(super) async fn find(data_dir: &Path) -> Option<Process> {
    let stream = UnixStream::connect(control_socket(data_dir)).await.ok()?;
    let peer = stream.peer_cred().ok()?;
    Some(Process { pid: peer.pid(), uid: peer.uid() })
}

/// Whether it runs.
pub(super) fn server(server: Option<&Process>) -> Finding {
    const CHECK: &str = "server";
    match server {
        Some(Process { pid: Some(pid), .. }) => {
            Finding::good(CHECK, format!("process {pid} serves the data directory"))
        }
        Some(Process { pid: None, .. }) => Finding::good(CHECK, "a process serves the data directory"),
        None => Finding::bad(
            CHECK,
            "the server does not answer at its control socket",
            "start it with `freehold serve`; if it ends again, its last lines on stderr say why",
        ),
    }
}

/// Whether the server, or what would start it, is root.
pub(super) fn user(server: Option<&Process>) -> Finding {
    const CHECK: &str = "user";
    let uid = uid_of(server);
    if uid == 0 {
        return Finding::bad(CHECK, "runs as root", "run it as a user of its own, as deploy/freehold.service does");
    }
    Finding::good(CHECK, format!("runs as user {uid}"))
}

/// Whether there is room for every connection.
pub(super) fn descriptors(server: Option<&Process>) -> Finding {
    let limit = match server.and_then(|server| server.pid) {
        Some(pid) => fs::read_to_string(format!("/proc/{pid}/limits")).ok().and_then(|limits| soft_limit(&limits)),
        None => Some(open_files::limit().unwrap_or(u64::MAX)),
    };
    judged(limit)
}

fn judged(limit: Option<u64>) -> Finding {
    const CHECK: &str = "descriptors";
    let wanted = open_files::wanted();
    match limit {
        None => Finding::good(CHECK, "the system does not tell this user how many files the server may open"),
        Some(u64::MAX) => Finding::good(CHECK, "any number of files may be open"),
        Some(limit) if limit >= wanted => Finding::good(CHECK, format!("{limit} files may be open")),
        Some(limit) => Finding::bad(
            CHECK,
            format!("{limit} files may be open, which leaves room for {} connections", open_files::left(limit)),
            format!("let it open {wanted} or more: LimitNOFILE= in a unit, `ulimit -n` in a shell"),
        ),
    }
}

/// The soft limit in `/proc/PID/limits` (`proc_pid_limits(5)`).
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" { Some(u64::MAX) } else { soft.parse().ok() }
}

/// Whether what it holds is the server's own. The modes are checked with the configuration.
pub(super) fn data_dir(config: &Config, server: Option<&Process>) -> Finding {
    const CHECK: &str = "data-dir";
    let data_dir = config.data_dir.display();
    let held = secrets_in(&config.data_dir);
    if held.is_empty() {
        let found = format!("{data_dir} is no directory that can be read");
        return Finding::bad(
            CHECK,
            found,
            "start the server once, which makes it; and run the doctor as the server's user",
        );
    }
    match foreign(&held, &[uid_of(server)]) {
        None => Finding::good(CHECK, format!("{data_dir} and what lies in it is the server's alone")),
        Some(found) => Finding::bad(CHECK, found, format!("chown -R it to user {}", uid_of(server))),
    }
}

/// Whether files of keys are the server's own, or root's. Their modes are checked with the configuration.
pub(super) fn secret_files(config: &Config, server: Option<&Process>) -> Finding {
    const CHECK: &str = "secret-files";
    let tls = config.http.tls.iter().flat_map(crate::config::TlsFiles::keys);
    let files: Vec<PathBuf> = config.keys.file.as_deref().into_iter().chain(tls).map(Path::to_owned).collect();
    match foreign(&files, &[uid_of(server), 0]) {
        None if files.is_empty() => Finding::good(CHECK, "no key is read from a file"),
        None => Finding::good(CHECK, format!("{} read by the server alone", named(&files))),
        Some(found) => Finding::bad(CHECK, found, format!("chown it to user {} or root", uid_of(server))),
    }
}

fn named(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    names.join(", ")
}

/// The first file that belongs to none of these users, or cannot be looked at.
fn foreign(paths: &[PathBuf], owners: &[u32]) -> Option<String> {
    paths.iter().find_map(|path| match fs::metadata(path) {
        Ok(found) if owners.contains(&found.uid()) => None,
        Ok(found) => Some(format!("{} belongs to user {}", path.display(), found.uid())),
        // SQLite removes its side files when it likes.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("{} cannot be looked at ({})", path.display(), error.kind())),
    })
}

fn uid_of(server: Option<&Process>) -> u32 {
    server.map_or_else(|| rustix::process::geteuid().as_raw(), |server| server.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_another_process_is_read_and_judged() {
        let limits =
            |soft: &str| format!("Limit   Soft Limit   Hard Limit   Units\nMax open files   {soft}   4096   files\n");
        assert_eq!(soft_limit(&limits("1024")), Some(1_024));
        assert_eq!(soft_limit(&limits("unlimited")), Some(u64::MAX));
        assert_eq!(soft_limit("nonsense"), None);
        assert!(
            judged(None).is_good() && judged(Some(u64::MAX)).is_good() && judged(Some(open_files::wanted())).is_good()
        );
        assert!(!judged(Some(open_files::wanted() - 1)).is_good());
    }

    #[test]
    fn a_file_of_somebody_else_is_named() {
        let own = [rustix::process::geteuid().as_raw()];
        let exe = [std::env::current_exe().expect("this program")];
        let owner = fs::metadata(&exe[0]).expect("this program").uid();
        assert_eq!(foreign(&exe, &[owner]), None);
        assert!(foreign(&exe, &[owner + 1]).is_some());
        assert_eq!(foreign(&["/nonexistent".into()], &own), None);
    }
}
