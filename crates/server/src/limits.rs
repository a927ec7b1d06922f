//! Named limits of this room, each with its reason.

use std::time::Duration;

/// Largest request body after decompression (specs/ingest.md section 1: OTLP's recommended default).
pub const BODY_BYTES_MAX: usize = 20 << 20;
/// Most bytes out for a byte in: the reference limit for bombs.
pub const RATIO_MAX: usize = 100;
/// Bytes that any compressed body may unfold to whatever its ratio: a tiny body of blanks is no bomb.
pub const RATIO_FREE_BYTES: usize = 64 << 10;
/// log2 of the largest zstd window that is accepted (8 MiB): bounds the decoder's memory.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Where a piece of a file may begin: file systems know no larger offset.
pub const FILE_BYTES_MAX: u64 = (1 << 63) - 1;
/// Largest entry of a raw ledger: the u16 length of tlog-tiles.
pub const LEAF_BYTES_MAX: usize = 65_535;
/// Largest JSON body of the administrative routes.
pub const ADMIN_BODY_BYTES_MAX: usize = 64 << 10;
/// Request bodies held at one time, in KiB, compressed and unfolded together: bounds memory under overload; beyond
/// it 429.
pub const BODIES_KIB_MAX: usize = 128 << 10;
/// Request bodies of one token held at one time, in KiB: half, so that one does not keep the others out. Three of the
/// largest that may unfold fit.
pub const TOKEN_BODIES_KIB_MAX: usize = 64 << 10;
/// Large requests that are built into batches at one time, for each processor: a batch under way is twice its body and
/// counted nowhere, and more at a time than there are processors are not built sooner.
pub const BUILDS_PER_PROCESSOR: usize = 2;
/// Stored entries and tiles that are read at one time, for each processor: a read may unfold a sealed bundle, 32 MiB at
/// the worst, to give one entry of it.
pub const READS_PER_PROCESSOR: usize = 8;
/// Answers on their way at one time, in KiB: a client that asks and takes nothing holds them. Beyond it reads are
/// answered 429.
pub const ANSWERS_KIB_MAX: usize = 96 << 10;
/// Answers on their way to one token, in KiB; an append of a token that holds more is refused before it is read. Two of
/// the largest entries fit.
pub const TOKEN_ANSWERS_KIB_MAX: usize = 48 << 10;
/// Answers on their way to those without a token, in KiB, so that these keep nobody out but each other.
pub const ANONYMOUS_ANSWERS_KIB_MAX: usize = 32 << 10;
/// Bytes of an answer that are not counted: a connection costs more than that.
pub const ANSWER_BYTES_FREE: usize = 4 << 10;
/// Proofs that are made at one time for the answer to a batch: each is some kilobytes, and ten thousand are 50 MB.
pub const PROOFS_AT_ONCE: usize = 64;
/// Connections at one time: each costs buffers and a descriptor; later ones wait in the listen queue.
pub const CONNECTIONS_MAX: usize = 4096;
/// Connections of one remote address at one time (IPv6: of one /64), so that one does not take them all; where there
/// are fewer in all, at most seven eighths of them. Further ones are closed at once.
pub const ADDRESS_CONNECTIONS_MAX: usize = 1024;
/// The same from loopback, where a proxy in front brings all clients.
pub const LOOPBACK_CONNECTIONS_MAX: usize = 3584;
/// An HTTP/2 connection on which no byte moves for this long is ended; while a request is under way pings move some.
pub const IDLE: Duration = Duration::from_secs(90);
/// Descriptors that the process asks for: connections, and per ledger some hundred files.
pub const DESCRIPTORS_WANTED: u64 = 65_536;
/// A client has this long for its TLS handshake, and for its first request.
pub const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// A client has this long for the head of each request; an idle kept-alive connection ends after it too.
/// HTTP/2: while requests are under way the client is pinged this often.
pub const HEADER_READ: Duration = Duration::from_secs(30);
/// A client has this long for each request's body.
pub const BODY_READ: Duration = Duration::from_secs(60);
/// Bytes of a refused body that are read and dropped, so that the refusal arrives: most batches are smaller.
pub const PASS_OVER_BYTES_MAX: usize = 2 << 20;
/// That may take so long.
pub const PASS_OVER: Duration = Duration::from_secs(2);
/// A client that takes no byte of its answer for this long is cut: it holds memory and a descriptor.
pub const WRITE_STALL: Duration = Duration::from_secs(60);
/// Requests that run get this long to end once a stop was asked for.
pub const DRAIN: Duration = Duration::from_secs(30);
/// Longest bytes of all headers of a request.
pub const HEADER_BYTES_MAX: usize = 32 << 10;
/// HTTP/2 streams of one connection.
pub const STREAMS_MAX: u32 = 256;
/// A proof beyond the checkpoint waits this long (specs/tlog.md section 12, item 8).
pub const PROOF_WAIT: Duration = Duration::from_secs(2);
/// `wait=checkpoint` answers without proofs after this long: the events are durable, so it cannot answer 503.
pub const CHECKPOINT_WAIT: Duration = Duration::from_secs(10);
/// A tail leaves one entry in `access` per window of this length.
pub const TAIL_WINDOW: Duration = Duration::from_secs(60);
/// A silent tail says this often that it lives.
pub const TAIL_HEARTBEAT: Duration = Duration::from_secs(15);
/// Entries that a tail fetches at once.
pub const TAIL_PAGE: u64 = 64;
/// Bytes that a tail holds for a client that does not take them, besides one entry; what was fetched beyond is dropped
/// and fetched again.
pub const TAIL_BYTES_MAX: usize = 256 << 10;
/// Bundles of bodies on their way at one time: of each one read is in memory, 20 MiB at the very worst.
pub const BUNDLES_MAX: usize = 32;
/// Bundles of bodies on their way to one token, so that one does not take them all.
pub const TOKEN_BUNDLES_MAX: usize = 8;
/// Tails at one time: each holds up to `TAIL_BYTES_MAX` and an entry, and every commit wakes it.
pub const TAILS_MAX: usize = 1_024;
/// Tails of one token at one time, so that one does not take them all.
pub const TOKEN_TAILS_MAX: usize = 256;
/// Indexes of its own access entries that a tail of `access` remembers: one a minute for a week.
pub const TAIL_OWN_MAX: usize = 10_080;
/// Entries in `access` a second about requests without a known token: a flood must not fill the disk; beyond it
/// denials are counted in the metrics alone.
pub const ANONYMOUS_DENIALS_PER_SECOND: u64 = 10;
/// Entries in `access` a second about denials of one token, for the same reason.
pub const DENIALS_PER_SECOND: u64 = 50;
/// Tokens and principals whose buckets are remembered; the table is emptied beyond it.
pub const BUCKETS_MAX: usize = 20_000;
/// Certificate and key are looked at this often.
pub const TLS_POLL: Duration = Duration::from_secs(1);
/// Largest certificate or key file.
pub const TLS_FILE_BYTES_MAX: u64 = 1 << 20;
/// Bodies from this size on are parsed on the blocking pool, so that other connections are not held up.
pub const PARSE_ASIDE_BYTES: usize = 64 << 10;
