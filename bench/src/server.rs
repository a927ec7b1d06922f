//! A PostgreSQL server of our own, on a folder that is removed at the end.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::scratch::Scratch;

/// Where Debian puts the newest version that was measured.
const BIN: &str = "/usr/lib/postgresql/15/bin";
/// A fresh server answers within this.
const START: Duration = Duration::from_secs(30);

/// Stops when dropped.
pub(crate) struct Server {
    child: Child,
    data: PathBuf,
    pub(crate) port: u16,
    _scratch: Scratch,
}

impl Server {
    /// Makes a cluster and starts a server on it: durable, with room before its checkpoints.
    pub(crate) fn start(parent: &Path) -> Result<Server> {
        ensure!(Path::new(BIN).join("postgres").exists(), "no PostgreSQL 15 (apt-get install postgresql-15)");
        let scratch = Scratch::new(parent)?;
        let data = scratch.path().join("cluster");
        std::fs::create_dir(&data)?;
        let root = run(Command::new("id").arg("-u"))?.trim() == "0";
        if root {
            // It refuses to run as root.
            run(Command::new("chown").arg("-R").arg("postgres").arg(scratch.path()))?;
        }
        run(as_postgres(root, "initdb")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let settings = [
            "fsync=on",
            "synchronous_commit=on",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "shared_buffers=512MB",
            "max_wal_size=8GB",
        ];
        let mut postgres = as_postgres(root, "postgres");
        postgres.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in settings {
            postgres.args(["-c", setting]);
        }
        let child = postgres.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("postgres")?;
        let mut server = Server { child, data, port, _scratch: scratch };
        let start = Instant::now();
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("PostgreSQL ended: {status}");
            }
            ensure!(start.elapsed() < START, "PostgreSQL does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Stops it and waits for its end.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.end();
        Ok(())
    }

    fn end(&mut self) {
        // The first line of its pid file; a fast shutdown is SIGINT.
        let pid = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        if let Some(pid) = pid.lines().next() {
            let _ = Command::new("kill").args(["-INT", pid]).status();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn as_postgres(root: bool, program: &str) -> Command {
    let path = Path::new(BIN).join(program);
    if !root {
        return Command::new(path);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(path);
    command.current_dir("/");
    command
}

fn run(command: &mut Command) -> Result<String> {
    let out = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
