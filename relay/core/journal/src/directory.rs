//! The files of a journal, by name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const FRESH_INDEX: &str = "index-new";

/// A segment: which one of the journal, and when its first datagram came (`CLOCK_REALTIME`, nanoseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    pub sequence: u64,
    pub first_ns: u64,
}

impl SegmentName {
    pub(crate) fn stem(self) -> String {
        format!("{:010}-{:020}", self.sequence, self.first_ns)
    }

    pub(crate) fn data(self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.pcapng", self.stem()))
    }

    pub(crate) fn index(self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.index", self.stem()))
    }

    /// Where an index is written before it takes the place of the old one.
    pub(crate) fn fresh_index(self, directory: &Path) -> PathBuf {
        self.index(directory).with_extension(FRESH_INDEX)
    }

    fn of(file: &str) -> Option<Self> {
        Self::of_stem(file.strip_suffix(".pcapng")?)
    }

    fn of_stem(stem: &str) -> Option<Self> {
        let (sequence, first_ns) = stem.split_once('-')?;
        Some(Self {
            sequence: sequence.parse().ok()?,
            first_ns: first_ns.parse().ok()?,
        })
    }
}

/// Every segment in the directory, the oldest first.
pub(crate) fn segments(directory: &Path) -> io::Result<Vec<SegmentName>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        found.extend(entry?.file_name().to_str().and_then(SegmentName::of));
    }
    found.sort_unstable();
    Ok(found)
}

/// What was left when its writer died between two files: indexes without a segment, and such as were not yet whole.
pub(crate) fn orphans(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let file = path.file_name().and_then(|file| file.to_str());
        let Some((stem, extension)) = file.and_then(|file| file.rsplit_once('.')) else {
            continue;
        };
        let is_orphan = SegmentName::of_stem(stem).is_some_and(|name| match extension {
            FRESH_INDEX => true,
            "index" => !name.data(directory).exists(),
            _ => false,
        });
        if is_orphan {
            found.push(path);
        }
    }
    Ok(found)
}

/// How many bytes a segment and its index take.
pub(crate) fn bytes_of(directory: &Path, name: SegmentName) -> u64 {
    let size = |path: PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    size(name.data(directory)) + size(name.index(directory))
}

/// Delete a segment; one that is gone already is no error.
pub(crate) fn remove(directory: &Path, name: SegmentName) -> io::Result<()> {
    for path in [name.data(directory), name.index(directory)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
