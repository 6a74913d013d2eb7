//! Writes what the fuzz targets begin with, in a folder for each target: `seeds FOLDER`. Nothing in it was captured.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use lanecast_relay_core::{find, PROTOCOLS};
use lanecast_relay_fuzz::framings::{wire, Message, FRAMINGS};
use lanecast_relay_fuzz::journal::pack;
use lanecast_relay_journal::{Journal, JournalSettings, LineIdentity};

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds FOLDER");
        std::process::exit(2);
    };
    for protocol in PROTOCOLS {
        let target = folder.join(format!("protocol-{}", protocol.name));
        write(&target, &datagrams(protocol.name))?;
    }
    for target in ["arbiter", "reframing", "memory", "re-requests"] {
        write(&folder.join(target), &decisions())?;
    }
    write(&folder.join("journal"), &[journal(3)?, journal(0)?])
}

fn write(folder: &Path, seeds: &[Vec<u8>]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for (place, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{place:02}")), seed)?;
    }
    Ok(())
}

/// Some of each kind that a protocol has.
fn datagrams(name: &str) -> Vec<Vec<u8>> {
    let bodies = wire::bodies(1, 3);
    let mut found = match name {
        "omd" => vec![
            wire::omd(1, &bodies),
            wire::omd_header(16, 0, 9),
            wire::omd_reset(5, 1),
        ],
        "xdp" => vec![
            wire::xdp(1, &bodies),
            wire::xdp_packet(1, 4, 105, &[]),
            wire::xdp_packet(12, 1, 1, &bodies[..1]),
        ],
        "pitch" | "mitch" => vec![
            wire::unit(1, 0, 0x21, &bodies),
            wire::unit(1, 1, 0x21, &bodies),
        ],
        "eobi" => vec![wire::eobi(688, 1, 7, 0), wire::eobi(688, 1, 1, 1)],
        "umdf" => vec![
            wire::umdf(1, 1, 5, 50, b"body"),
            wire::umdf(1, 2, 0, 1, b""),
            wire::umdf(1, 1, 0, 2, &9u32.to_le_bytes()),
        ],
        "mach" => vec![wire::mach(0, 1, 1, b""), wire::mach(4, 2, 1, b"")],
        "memx-udp" => vec![
            wire::memx(9, 1, &bodies),
            wire::memx_header(0, 9, 3),
            wire::memx_header(1, 9, 3),
        ],
        "impact" => vec![wire::impact(3, 1, &bodies), wire::impact(3, 4, &[])],
        "csm" => vec![wire::csm(1, &bodies), wire::csm(4, &[])],
        "deribit" => vec![wire::deribit(6, 1, b"body")],
        "flex" => vec![wire::flex(1, 1, 1, &bodies), vec![0x20]],
        "raw" => vec![b"anything".to_vec(), Vec::new()],
        _ => Vec::new(),
    };
    for framing in FRAMINGS.iter().filter(|framing| framing.name == name) {
        for (epoch, index) in [(0, 0), (1, 0), (0, 7)] {
            let epoch = if name == "mach" { 0 } else { epoch };
            let first = Message {
                stream: 0,
                epoch,
                index,
            };
            found.push((framing.write)(
                first,
                if framing.identical { 1 } else { 4 },
            ));
            found.extend(framing.heartbeat.map(|write| write(first)));
            found.extend(framing.end.map(|write| write(first)));
        }
    }
    found
}

/// A segment of two lines with `count` datagrams on each, and its index, as the recorder writes them.
fn journal(count: u64) -> std::io::Result<Vec<u8>> {
    let directory = tempfile::tempdir()?;
    let mut recorder = Journal::open(JournalSettings {
        directory: directory.path().to_owned(),
        max_bytes: 1 << 40,
        max_age_ns: u64::MAX / 2,
        segment_bytes: 1 << 20,
        sync_interval_ns: 5_000_000,
        queue_bytes: 1 << 20,
    })?;
    let protocol = find("moldudp64").expect("it is one of the protocols");
    let any = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 20001);
    let lines = ["A", "B"].map(|line| {
        recorder.line(&LineIdentity {
            feed: "quotes".to_owned(),
            channel: "main".to_owned(),
            line: line.to_owned(),
            protocol,
            endpoint: any,
        })
    });
    for number in 0..2 * count.max(1) {
        let datagram = match count {
            0 => b"no packet of the protocol".to_vec(),
            _ => wire::mold(b"SESSION001", 1 + number / 2, &wire::bodies(1, 1)),
        };
        let line = lines[(number % 2) as usize];
        recorder.record(line, 1_700_000_000_000_000_000 + number, any, &datagram);
    }
    recorder.close();
    let mut files = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory.path())? {
        let path = entry?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pcapng") => files.0 = fs::read(path)?,
            Some("index") => files.1 = fs::read(path)?,
            _ => {}
        }
    }
    Ok(pack(&files.0, &files.1))
}

/// Bytes from which a target reads what to do: for every framing, two lines that bring numbers in turn.
fn decisions() -> Vec<Vec<u8>> {
    let scripts = (0..FRAMINGS.len() as u8).flat_map(|framing| [(framing, 3), (framing, 40)]);
    scripts
        .map(|(framing, held)| {
            let mut script = vec![framing, 200, held, framing % 2];
            for number in 0..60u8 {
                script.extend([
                    5 + number % 11,
                    number % 3,
                    number % 7,
                    0,
                    number / 40,
                    number,
                    0,
                    2,
                    number % 5,
                ]);
            }
            script
        })
        .collect()
}
