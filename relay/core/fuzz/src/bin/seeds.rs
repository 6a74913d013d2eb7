//! Writes what the fuzz targets begin with, in a folder for each target: `seeds FOLDER`. Nothing in it was captured.

use std::fs;
use std::path::{Path, PathBuf};

use lanecast_relay_core::PROTOCOLS;
use lanecast_relay_fuzz::framings::{wire, Message, FRAMINGS};

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds FOLDER");
        std::process::exit(2);
    };
    for protocol in PROTOCOLS {
        let target = folder.join(format!("protocol-{}", protocol.name));
        write(&target, &datagrams(protocol.name))?;
    }
    for target in ["arbiter", "reframing", "memory"] {
        write(&folder.join(target), &decisions())?;
    }
    Ok(())
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
        "flex" => vec![wire::flex(1, 1, 1, 3, b"three"), vec![0x20]],
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
