//! Finds out whether a file is on a network file system, where the locks of `SQLite` cannot be trusted.

use std::path::Path;

use super::fault::{Fault, Result};

/// Types of file systems, as the kernel calls them, that live on another machine.
const REMOTE: [&str; 7] = ["nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "fuse.sshfs"];

/// Refuses a directory on a network file system. Where the kernel does not tell, nothing is refused.
pub(super) async fn refuse_remote(directory: &Path) -> Result<()> {
    let Ok(mounts) = tokio::fs::read_to_string("/proc/self/mounts").await else { return Ok(()) };
    let Ok(directory) = tokio::fs::canonicalize(directory).await else { return Ok(()) };
    match remote(&mounts, &directory) {
        None => Ok(()),
        Some(kind) => Err(Fault::Unfit(format!(
            "{} is on a network file system ({kind}): put the file on a local disk, or use Redis",
            directory.display()
        ))),
    }
}

/// Returns the type of the file system under a directory if it is a remote one.
///
/// A line of `mounts` is "device, mount point, type, …"; later ones cover earlier ones. A blank in a name is written `\040`.
fn remote<'a>(mounts: &'a str, directory: &Path) -> Option<&'a str> {
    let lines = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?.replace("\\040", " "), words.next()?))
    });
    let (_, kind) = lines.filter(|(point, _)| directory.starts_with(point)).max_by_key(|(point, _)| point.len())?; // of equals the last
    REMOTE.contains(&kind).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_decides() {
        let mounts = "/dev/vda / ext4 rw 0 0\nfiler:/home /home nfs4 rw 0 0\n/dev/vdb /home/queue\\040data xfs rw 0 0\n\
                      //filer/x /srv cifs rw 0 0\n/dev/vdc /srv ext4 rw 0 0\nbroken\n";
        for (path, expected) in [
            ("/var/lib/deskhand", None),
            ("/home", Some("nfs4")),
            ("/home/ann/data", Some("nfs4")),
            ("/homework", None),
            ("/home/queue data/q", None),
            ("/srv/data", None),
        ] {
            assert_eq!(remote(mounts, Path::new(path)), expected, "{path}");
        }
    }
}
