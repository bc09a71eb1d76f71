//! POSIX ustar in exactly one form: the members of a bundle in their order, and no byte that could be another.

use crate::report::Member;

use super::FOLDER;

/// Bytes of a header, and what contents are filled up to a multiple of.
const BLOCK_BYTES: usize = 512;

/// Largest member: what 11 octal digits can say.
pub(super) const MEMBER_BYTES_MAX: u64 = (1 << 33) - 1;

/// Zero bytes at the end of an archive.
const END_BYTES: usize = 1024;

const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Contents of the members, in the order of [`Member::ALL`].
pub(super) type Contents<'a> = [&'a [u8]; Member::ALL.len()];

/// What the first bytes of a file say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// There is no byte.
    Empty,
    /// A header of an archive whose first member has another name.
    OtherArchive(String),
    /// It may be a bundle.
    Bundle,
}

/// Says what kind of file this is, as far as that is a question of versions and not of tampering.
pub(super) fn beginning(file: &[u8]) -> Beginning {
    if file.is_empty() {
        return Beginning::Empty;
    }
    let Some(header) = file.first_chunk::<BLOCK_BYTES>() else {
        return Beginning::Bundle;
    };
    let name = header[..100].split(|byte| *byte == 0).next().unwrap_or_default();
    let is_header = header[CHECKSUM] == checksum(header);
    if is_header && name != format!("{FOLDER}{}", Member::Bundle).as_bytes() {
        return Beginning::OtherArchive(String::from_utf8_lossy(name).into_owned());
    }
    Beginning::Bundle
}

/// Takes the archive apart. The error says which part is not as it has to be.
pub(super) fn read(file: &[u8]) -> Result<Contents<'_>, String> {
    let mut rest = file;
    let mut contents: Contents<'_> = [&[]; Member::ALL.len()];
    for (member, content) in Member::ALL.into_iter().zip(&mut contents) {
        let wrong = |part: &str| format!("the {part} of {member}");
        let (found, behind) = rest.split_first_chunk::<BLOCK_BYTES>().ok_or_else(|| wrong("header"))?;
        let size = read_size(found).ok_or_else(|| wrong("header"))?;
        if *found != header(member, size) {
            return Err(wrong("header"));
        }
        let size = usize::try_from(size).map_err(|_| wrong("size"))?;
        let (found, behind) = behind.split_at_checked(size).ok_or_else(|| wrong("size"))?;
        *content = found;
        let (padding, behind) = behind
            .split_at_checked(padding_bytes(size))
            .ok_or_else(|| wrong("padding"))?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(wrong("padding"));
        }
        rest = behind;
    }
    if rest.len() != END_BYTES || rest.iter().any(|byte| *byte != 0) {
        return Err("the end of the archive".to_owned());
    }
    Ok(contents)
}

/// Writes the archive.
pub(super) fn write(contents: &Contents<'_>, out: &mut impl std::io::Write) -> std::io::Result<()> {
    for (member, content) in Member::ALL.into_iter().zip(contents) {
        out.write_all(&header(member, content.len() as u64))?;
        out.write_all(content)?;
        out.write_all(&[0; BLOCK_BYTES][..padding_bytes(content.len())])?;
    }
    out.write_all(&[0; END_BYTES])
}

/// The one header of a member of that size, which is at most [`MEMBER_BYTES_MAX`].
fn header(member: Member, size: u64) -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    let mut put = |offset: usize, text: &str| header[offset..offset + text.len()].copy_from_slice(text.as_bytes());
    put(0, FOLDER);
    put(FOLDER.len(), member.name());
    put(100, "0000644");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let checksum = checksum(&header);
    header[CHECKSUM].copy_from_slice(&checksum);
    header
}

/// The sum of a header's bytes, with those of the sum itself counted as spaces: 6 octal digits, a zero byte, a space.
fn checksum(header: &[u8; BLOCK_BYTES]) -> [u8; 8] {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let sum = sum(&header[..CHECKSUM.start]) + 8 * u32::from(b' ') + sum(&header[CHECKSUM.end..]);
    let mut checksum = *b"000000\0 ";
    checksum[..6].copy_from_slice(format!("{sum:06o}").as_bytes());
    checksum
}

fn read_size(header: &[u8; BLOCK_BYTES]) -> Option<u64> {
    header[124..135].iter().try_fold(0, |size, digit| {
        let digit = matches!(digit, b'0'..=b'7').then(|| u64::from(digit - b'0'))?;
        Some(size << 3 | digit)
    })
}

fn padding_bytes(size: usize) -> usize {
    size.wrapping_neg() % BLOCK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let mut out = Vec::new();
        let full_block = [b'x'; BLOCK_BYTES];
        write(&[b"a", b"", b"ccc", &full_block, b"e", b"f", b"g"], &mut out).unwrap();
        out
    }

    #[test]
    fn an_archive_reads_back_and_ends_where_it_has_to() {
        let archive = archive();
        assert_eq!(archive.len(), 7 * 512 + 6 * 512 + 1024);
        let contents = read(&archive).unwrap();
        assert_eq!(
            (contents[0], contents[1], contents[6]),
            (&b"a"[..], &b""[..], &b"g"[..])
        );
        assert_eq!(beginning(&archive), Beginning::Bundle);
    }

    #[test]
    fn any_changed_added_or_missing_byte_outside_the_contents_is_refused() {
        let archive = archive();
        let contents: Vec<_> = read(&archive).unwrap().map(<[u8]>::as_ptr_range).into();
        let is_content = |byte: &u8| contents.iter().any(|range| range.contains(&std::ptr::from_ref(byte)));
        for at in 0..archive.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = archive.clone();
                changed[at] ^= flip;
                assert_eq!(read(&changed).is_ok(), is_content(&archive[at]), "byte {at}");
            }
        }
        for length in 0..archive.len() {
            assert!(read(&archive[..length]).is_err(), "{length} bytes");
        }
        assert!(read(&[&archive[..], &[0]].concat()).is_err());
        assert!(read(&[&archive[..], &[0; 512]].concat()).is_err());
    }

    #[test]
    fn other_archives_are_told_from_changed_bundles() {
        let rename = |name: &[u8], fixes_checksum: bool| {
            let mut archive = archive();
            archive[..26].fill(0);
            archive[..name.len()].copy_from_slice(name);
            if fixes_checksum {
                let sum = checksum(archive.first_chunk().unwrap());
                archive[CHECKSUM].copy_from_slice(&sum);
            }
            beginning(&archive)
        };
        let other = |name: &str| Beginning::OtherArchive(name.to_owned());
        assert_eq!(
            rename(b"weir-bundle-v2/bundle.json", true),
            other("weir-bundle-v2/bundle.json")
        );
        assert_eq!(rename(b"holiday.jpg", true), other("holiday.jpg"));
        assert_eq!(rename(b"weir-bundle-v2/bundle.json", false), Beginning::Bundle);
        assert_eq!(beginning(&[]), Beginning::Empty);
        assert_eq!(beginning(b"PK"), Beginning::Bundle);
    }

    #[test]
    fn a_size_that_no_file_has_is_refused() {
        let mut archive = archive();
        archive[124..135].copy_from_slice(b"77777777777");
        let sum = checksum(archive.first_chunk().unwrap());
        archive[CHECKSUM].copy_from_slice(&sum);
        assert_eq!(read(&archive), Err("the size of bundle.json".to_owned()));
    }
}
