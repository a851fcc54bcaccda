//! What was revoked: in the file that control writes, and in memory.
//!
//! A line of the file is a username or a key ID, a space, and the second since 1970 from which it need not be refused any
//! more. Control appends to it and replaces it (`control/turn/revocations.ts`), so the last line may be half a one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// More than all that control keeps.
const FILE_MAX: u64 = 256 * 1024 * 1024;

/// A username or a key ID that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whose it is.
    pub name: Box<str>,
    /// Seconds since 1970 from which it need not be remembered.
    pub until: u64,
}

/// Where control keeps all revocations.
#[derive(Debug)]
pub struct RevokedFile(Option<PathBuf>);

impl RevokedFile {
    /// A file at a path; without one there are no revocations.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> RevokedFile {
        RevokedFile(path)
    }

    /// All that it has. A file that does not exist has none.
    ///
    /// # Errors
    /// The file cannot be read, or has a line that is no revocation.
    pub fn read(&self) -> io::Result<Vec<Revocation>> {
        let Some(path) = &self.0 else {
            return Ok(Vec::new());
        };
        let mut text = String::new();
        let result =
            File::open(path).and_then(|file| file.take(FILE_MAX).read_to_string(&mut text));
        match result {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        parse(&text).ok_or_else(|| {
            let problem = format!("{} has a line that is no revocation", path.display());
            io::Error::new(io::ErrorKind::InvalidData, problem)
        })
    }
}

fn parse(text: &str) -> Option<Vec<Revocation>> {
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let line = |line: &str| {
        let (name, until) = line.split_once(' ')?;
        Some(Revocation {
            name: name.into(),
            until: until.parse().ok()?,
        })
    };
    whole.lines().map(line).collect()
}

/// Entries that are never looked through for old ones.
const LEAST_TO_FORGET: usize = 1024;

/// What is refused. Old entries are forgotten each time their number has doubled, so that an entry costs the same however
/// many there are.
#[derive(Debug, Default)]
pub struct Revoked {
    until: HashMap<Box<str>, u64>,
    forget_at: usize,
}

impl Revoked {
    /// Whether a name is refused.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.until.contains_key(name)
    }

    /// Refuses a name.
    pub fn insert(&mut self, name: &str, until: u64, unix: u64) {
        if self.until.len() >= self.forget_at.max(LEAST_TO_FORGET) {
            self.until.retain(|_, until| *until > unix);
            self.forget_at = 2 * self.until.len();
        }
        self.until.insert(name.into(), until);
    }

    /// How many there are.
    #[cfg(test)]
    #[must_use]
    pub fn count(&self) -> usize {
        self.until.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_last_whole_line() {
        let expected = [("1.key.a", 1), ("key", 20)].map(|(name, until)| Revocation {
            name: name.into(),
            until,
        });
        assert_eq!(parse("1.key.a 1\nkey 20\n").unwrap(), expected);
        assert_eq!(parse("1.key.a 1\nkey 20\n2.key.b 2").unwrap(), expected);
        for empty in ["", "1.key.a 1"] {
            assert_eq!(parse(empty).unwrap(), []);
        }
        for bad in ["a\n", "a b\n", "\n", "a 1 2\n", "a -1\n"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_has_no_revocations() {
        let path = std::env::temp_dir().join("switchyard-turn-no-such-file");
        assert_eq!(RevokedFile::new(Some(path)).read().unwrap(), []);
        assert!(RevokedFile::new(Some("/proc/self".into())).read().is_err());
    }

    #[test]
    fn old_entries_are_forgotten_and_new_ones_never() {
        let mut revoked = Revoked::default();
        for second in 0..100_000_u64 {
            revoked.insert(&format!("{second}.key.a"), second + 1000, second);
            assert!(revoked.has(&format!("{second}.key.a")));
        }
        assert!(revoked.count() < 5_000);
    }
}
