//! Mirror requests: uploads written, read and verified, and what must be refused.

use tlog::mirror::{AddEntries, MirrorInfo, MirrorState, Package, UploadHeader, UploadRefusal, decide_upload};
use tlog::*;

use crate::vectors::Leaves;

fn header(start: u64, end: u64) -> UploadHeader {
    UploadHeader { origin: "log.example/a".into(), start, end, ticket: b"ticket".to_vec() }
}

/// The upload of `[start, end)` of the vectors' log, all packages.
fn upload(leaves: &Leaves, header: &UploadHeader) -> Vec<u8> {
    let mut body = Vec::new();
    assert!(header.write(&mut body));
    for number in 0..header.packages() {
        let (first, end) = header.range(number).unwrap();
        let entries: Vec<Vec<u8>> = (first..end).map(|i| format!("leaf-{i}").into_bytes()).collect();
        let proof = subtree_consistency(leaves, first / 256 * 256, end, header.end).unwrap();
        let package = Package { entries: entries.iter().map(Vec::as_slice).collect(), proof };
        assert!(package.write(&mut body));
    }
    body
}

#[test]
fn uploads_are_read_and_verified() {
    let leaves = Leaves::new(1000);
    for (start, end) in [(0, 1), (0, 256), (0, 257), (100, 300), (255, 257), (256, 1000), (999, 1000), (700, 701)] {
        let header = header(start, end);
        let body = upload(&leaves, &header);
        let read = AddEntries::parse(&body).unwrap();
        assert_eq!((&read.header, read.packages.len() as u64, read.torn), (&header, header.packages(), false));
        let top = root(&leaves, end).unwrap();
        for (number, package) in read.packages.iter().enumerate() {
            let (first, _) = header.range(number as u64).unwrap();
            let before = &leaves.0[(first / 256 * 256) as usize..first as usize];
            assert_eq!(header.verify(number as u64, package, before, &top), Ok(()), "{start}..{end} {number}");
            assert!(header.verify(number as u64, package, before, &leaf_hash(b"")).is_err());
            assert!(header.verify(header.packages(), package, before, &top).is_err());
            let mut changed = package.clone();
            changed.entries[0] = b"other";
            assert!(header.verify(number as u64, &changed, before, &top).is_err());
            changed.entries.pop();
            assert!(header.verify(number as u64, &changed, before, &top).is_err());
        }
        // Cut anywhere, a prefix of whole packages is left and nothing panics.
        for length in (0..body.len()).step_by(7) {
            match AddEntries::parse(&body[..length]) {
                Ok(cut) => assert!(cut.torn || (cut.packages.len() as u64) < header.packages()),
                Err(error) => assert_eq!(error.0, "the header is incomplete"),
            }
        }
        let mut long = body.clone();
        long.push(0);
        assert_eq!(AddEntries::parse(&long).unwrap_err().0, "bytes behind the last package");
    }
    assert_eq!(header(5, 5).packages(), 0);
    assert_eq!(header(100, 1000).range(1), Some((256, 512)));
    assert_eq!(header(100, 1000).range(4), None);
}

#[test]
fn hostile_uploads_are_refused() {
    let write = |origin: &[u8], start: u64, end: u64| {
        let mut body = (origin.len() as u16).to_be_bytes().to_vec();
        body.extend_from_slice(origin);
        body.extend_from_slice(&start.to_be_bytes());
        body.extend_from_slice(&end.to_be_bytes());
        body.extend_from_slice(&[0, 0]);
        body
    };
    let error = |body: &[u8]| AddEntries::parse(body).unwrap_err().0;
    assert!(AddEntries::parse(&write(b"o", 0, (1 << 63) - 1)).unwrap().packages.is_empty());
    assert_eq!(error(&write(b"o", 0, 1 << 63)), "the range of entries is not one");
    assert_eq!(error(&write(b"o", 2, 1)), "the range of entries is not one");
    for origin in [&b""[..], b"a b", b"a+b", b"\xff", b"a\nb", &[b'a'; 256]] {
        assert_eq!(error(&write(origin, 0, 1)), "the origin is not a name of 1 to 255 bytes");
    }
    // 64 hashes are refused before any is read.
    let mut body = write(b"o", 0, 1);
    body.extend_from_slice(&[0, 0, 64]);
    assert_eq!(error(&body), "a proof of more than 63 hashes");
    // 33 packages of 256 empty entries without proofs.
    let mut body = write(b"o", 0, 256 * 40);
    body.extend(std::iter::repeat_n(vec![0; 513], 32).flatten());
    assert_eq!(AddEntries::parse(&body).unwrap().packages.len(), 32);
    body.push(0);
    assert_eq!(error(&body), "more than 32 packages");
    let mut out = Vec::new();
    assert!(!UploadHeader { origin: "o".repeat(256), ..header(0, 1) }.write(&mut out));
    assert!(!UploadHeader { ticket: vec![0; 65_536], ..header(0, 1) }.write(&mut out));
    assert!(!Package { entries: Vec::new(), proof: vec![Hash::EMPTY_ROOT; 64] }.write(&mut out));
    assert_eq!(out, [0; 0]);
}

#[test]
fn uploads_are_decided_by_their_header() {
    let state = MirrorState { pending: vec![300, 500], checkpoint: 256, next_entry: 280, overlap_max: 30 };
    let decide = |start, end| decide_upload(&header(start, end), Some(&state));
    assert_eq!(decide(280, 500), Ok(()));
    assert_eq!(decide(250, 300), Ok(()));
    assert_eq!(decide(256, 256), Ok(()));
    assert_eq!(decide(280, 400), Err(UploadRefusal::Conflict), "end is no pending size");
    assert_eq!(decide(281, 500), Err(UploadRefusal::Conflict), "start beyond the next entry");
    assert_eq!(decide(249, 500), Err(UploadRefusal::Conflict), "too much overlap");
    let behind = MirrorState { pending: vec![200], ..state.clone() };
    assert_eq!(decide_upload(&header(200, 200), Some(&behind)), Err(UploadRefusal::Conflict), "end is behind");
    assert_eq!(decide_upload(&header(0, 1), None), Err(UploadRefusal::UnknownLog));
    let fresh = MirrorState { pending: Vec::new(), ..state };
    assert_eq!(decide_upload(&header(0, 1), Some(&fresh)), Err(UploadRefusal::NothingPending));
    assert_eq!(
        [404, 422, 409],
        [UploadRefusal::UnknownLog, UploadRefusal::NothingPending, UploadRefusal::Conflict].map(UploadRefusal::status)
    );
}

#[test]
fn mirror_info_is_three_lines() {
    for ticket in [Vec::new(), b"ticket".to_vec(), vec![7; 65_535]] {
        let info = MirrorInfo { pending: 300, next_entry: 256, ticket };
        assert_eq!(MirrorInfo::parse(info.to_text().as_bytes()), Ok(info));
    }
    assert_eq!(MirrorInfo::parse(b"1\n2\n\n").unwrap().ticket, b"");
    let large = format!("1\n2\n{}\n", "AAAA".repeat(21_846));
    for bad in
        ["", "1\n2\n", "1\n2\nAA==", "01\n2\n\n", "1\n-2\n\n", "1\n2\n?\n", "1\n2\n\n\n", "1\n2\nAA==\n3\n", &large]
    {
        assert!(MirrorInfo::parse(bad.as_bytes()).is_err(), "{bad:.40}");
    }
}
