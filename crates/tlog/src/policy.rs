//! tlog-policy: which logs are believed, and how many of which witnesses must have cosigned. Contacts none of them.

use std::collections::BTreeMap;

use crate::checkpoint::{Checkpoint, signs_as_log};
use crate::hash::Hash;
use crate::limits::{POLICY_BYTES_MAX, POLICY_ITEMS_MAX};
use crate::note::{Note, NoteError};
use crate::vkey::{KeyKind, Vkey};

/// Why a text is no policy, or a policy cannot be written in the common form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy, line {line}: {problem}")]
pub struct PolicyError {
    /// The line, counted from 1; 0 where the file as a whole is at fault.
    pub line: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

/// Why a policy does not accept a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyRefusal {
    /// No checkpoint, or a line of a known key that does not verify.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// No log of the policy signed it under its own name.
    #[error("no log of the policy signed the checkpoint")]
    NoLog,
    /// Too few witnesses, or the wrong ones.
    #[error("the quorum of the policy is not met: {cosigned} of its witnesses cosigned")]
    NoQuorum {
        /// Witnesses of the policy that did.
        cosigned: usize,
    },
}

/// A checkpoint that a policy accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// Number, in [`Policy::logs`], of the first log key that signed.
    pub log: usize,
    /// The witnesses that cosigned: number in [`Policy::witnesses`], and the latest time each gave.
    pub cosigned: Vec<(usize, u64)>,
}

/// A log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyLog {
    /// The log's key; its name is the origin.
    pub vkey: Vkey,
    /// Where the log is.
    pub url: Option<Vec<u8>>,
}

/// A witness line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyWitness {
    /// Name within the policy: opaque octets.
    pub name: Vec<u8>,
    /// The witness's key.
    pub vkey: Vkey,
    /// Submission prefix.
    pub url: Option<Vec<u8>>,
}

/// What cosigns: a witness, or a group of which enough members do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// By number in [`Policy::witnesses`].
    Witness(usize),
    /// By number in [`Policy::groups`].
    Group(usize),
}

/// A group line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyGroup {
    /// Name within the policy: opaque octets.
    pub name: Vec<u8>,
    /// How many members must have cosigned: 1 to their number.
    pub threshold: usize,
    /// Witnesses and earlier groups.
    pub members: Vec<Member>,
}

/// A policy, parsed and consistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<PolicyGroup>,
    quorum: Option<Member>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`] names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let whole = |problem| PolicyError { line: 0, problem };
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(whole("the file has more than 262144 bytes"));
        }
        if !bytes.is_empty() && bytes.last() != Some(&b'\n') {
            return Err(whole("the last line does not end in LF"));
        }
        let mut reader = Reader::default();
        for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
            reader.line(line).map_err(|problem| PolicyError { line: at + 1, problem })?;
        }
        let quorum = reader.quorum.ok_or(whole("there is no quorum line"))?;
        Ok(Self { logs: reader.logs, witnesses: reader.witnesses, groups: reader.groups, quorum })
    }

    /// The policy of a verifier that knows the keys of a log and no witness: `quorum none`.
    pub fn of_log(keys: Vec<Vkey>) -> Self {
        let logs = keys.into_iter().map(|vkey| PolicyLog { vkey, url: None }).collect();
        Self { logs, witnesses: Vec::new(), groups: Vec::new(), quorum: None }
    }

    /// The logs, in the order of the file.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses, in the order of the file.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// The groups, in the order of the file.
    pub fn groups(&self) -> &[PolicyGroup] {
        &self.groups
    }

    /// What must have cosigned; None: nobody.
    pub fn quorum(&self) -> Option<Member> {
        self.quorum
    }

    /// Whether the quorum holds where exactly these witnesses, by number, have cosigned.
    pub fn quorum_holds(&self, cosigned: &[usize]) -> bool {
        // Groups name earlier groups only, so one pass in order knows each member's result.
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let holds = |member: &Member, groups: &[bool]| match member {
            Member::Witness(witness) => cosigned.contains(witness),
            Member::Group(group) => groups.get(*group).copied().unwrap_or(false),
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| holds(member, &groups)).count();
            groups.push(count >= group.threshold);
        }
        self.quorum.is_none_or(|member| holds(&member, &groups))
    }

    /// Whether this policy accepts a signed checkpoint: signed by a listed log, cosigned by the quorum.
    ///
    /// # Errors
    /// [`PolicyRefusal`].
    pub fn verify(&self, note: &[u8]) -> Result<Accepted, PolicyRefusal> {
        let note = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(&note.text)?;
        let keys: Vec<Vkey> = self.keys().cloned().collect();
        let lines = match note.verify_lines(&keys) {
            Err(NoteError::NoKnownSignature) => return Err(PolicyRefusal::NoLog),
            other => other?,
        };
        // tlog-policy: the key name of a log is its origin.
        let signed = |line: &usize| self.logs.get(*line).is_some_and(|log| log.vkey.name == checkpoint.origin);
        let log = lines.iter().map(|line| line.vkey).find(signed).ok_or(PolicyRefusal::NoLog)?;
        if checkpoint.size == 0 && checkpoint.root != Hash::EMPTY_ROOT {
            return Err(NoteError::WrongEmptyRoot.into());
        }
        let mut latest: BTreeMap<usize, u64> = BTreeMap::new();
        for line in &lines {
            if let (Some(witness), Some(timestamp)) = (line.vkey.checked_sub(self.logs.len()), line.timestamp) {
                let time = latest.entry(witness).or_default();
                *time = timestamp.max(*time);
            }
        }
        let names: Vec<usize> = latest.keys().copied().collect();
        if !self.quorum_holds(&names) {
            return Err(PolicyRefusal::NoQuorum { cosigned: names.len() });
        }
        Ok(Accepted { checkpoint, log, cosigned: latest.into_iter().collect() })
    }

    /// The file in the form that every known parser reads: a URL on each witness line, no `#` inside a line.
    ///
    /// # Errors
    /// A witness without URL, or a `#` in a name, key or URL; the line is the one that would have been written.
    pub fn to_text(&self) -> Result<Vec<u8>, PolicyError> {
        let mut lines: Vec<Vec<Vec<u8>>> = Vec::new();
        for log in &self.logs {
            let mut line = vec![b"log".to_vec(), log.vkey.to_string().into_bytes()];
            line.extend(log.url.clone());
            lines.push(line);
        }
        for witness in &self.witnesses {
            let problem = "a witness without URL is not read by every parser";
            let url = witness.url.clone().ok_or(PolicyError { line: lines.len() + 1, problem })?;
            lines.push(vec![b"witness".to_vec(), witness.name.clone(), witness.vkey.to_string().into_bytes(), url]);
        }
        for group in &self.groups {
            let mut line = vec![b"group".to_vec(), group.name.clone(), group.threshold.to_string().into_bytes()];
            line.extend(group.members.iter().map(|member| self.name(*member).to_vec()));
            lines.push(line);
        }
        lines.push(vec![b"quorum".to_vec(), self.quorum.map_or(&b"none"[..], |member| self.name(member)).to_vec()]);
        let mut text = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            if line.iter().flatten().any(|b| *b == b'#') {
                return Err(PolicyError { line: at + 1, problem: "some parsers cut the line after a #" });
            }
            text.extend_from_slice(&line.join(&b' '));
            text.push(b'\n');
        }
        Ok(text)
    }

    /// The keys of the logs, then those of the witnesses.
    pub fn keys(&self) -> impl Iterator<Item = &Vkey> {
        self.logs.iter().map(|log| &log.vkey).chain(self.witnesses.iter().map(|witness| &witness.vkey))
    }

    fn name(&self, member: Member) -> &[u8] {
        match member {
            Member::Witness(at) => self.witnesses.get(at).map_or(b"", |witness| &witness.name),
            Member::Group(at) => self.groups.get(at).map_or(b"", |group| &group.name),
        }
    }
}

/// A policy being read.
#[derive(Default)]
struct Reader {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<PolicyGroup>,
    /// Once the line was read: what it names, None for `none`.
    quorum: Option<Option<Member>>,
    names: BTreeMap<Vec<u8>, Member>,
    /// Names that already are members of a group.
    grouped: Vec<Member>,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        // tlog-policy: tab, newline and 0x20 to 0x7e are allowed of ASCII; higher octets are opaque.
        if line.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
            return Err("a control character");
        }
        let fields: Vec<&[u8]> = line.split(|b| matches!(b, b' ' | b'\t')).filter(|f| !f.is_empty()).collect();
        match fields.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", vkey] => self.log(vkey, None),
            [b"log", vkey, url] => self.log(vkey, Some(url)),
            [b"witness", name, vkey] => self.witness(name, vkey, None),
            [b"witness", name, vkey, url] => self.witness(name, vkey, Some(url)),
            [b"group", name, threshold, members @ ..] => self.group(name, threshold, members),
            [b"quorum", name] => self.quorum(name),
            _ => Err("not a log, witness, group or quorum line with the fields it needs"),
        }
    }

    fn log(&mut self, vkey: &[u8], url: Option<&[u8]>) -> Result<(), &'static str> {
        let vkey = self.vkey(vkey)?;
        if !signs_as_log(vkey.kind) {
            return Err("a log's key must be of type 0x01 or 0x06");
        }
        if self.logs.len() >= POLICY_ITEMS_MAX {
            return Err("more than 128 logs");
        }
        self.logs.push(PolicyLog { vkey, url: url.map(<[u8]>::to_vec) });
        Ok(())
    }

    fn witness(&mut self, name: &[u8], vkey: &[u8], url: Option<&[u8]>) -> Result<(), &'static str> {
        let vkey = self.vkey(vkey)?;
        if !matches!(vkey.kind, KeyKind::CosignatureEd25519 | KeyKind::CosignatureMlDsa44) {
            return Err("a witness's key must be of type 0x04 or 0x06");
        }
        if self.witnesses.len() >= POLICY_ITEMS_MAX {
            return Err("more than 128 witnesses");
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name: name.to_vec(), vkey, url: url.map(<[u8]>::to_vec) });
        Ok(())
    }

    fn group(&mut self, name: &[u8], threshold: &[u8], members: &[&[u8]]) -> Result<(), &'static str> {
        if members.is_empty() {
            return Err("a group needs a member");
        }
        if self.groups.len() >= POLICY_ITEMS_MAX {
            return Err("more than 128 groups");
        }
        let threshold = match threshold {
            b"any" => 1,
            b"all" => members.len(),
            number => std::str::from_utf8(number)
                .ok()
                .and_then(crate::encoding::decimal)
                .and_then(|k| usize::try_from(k).ok())
                .filter(|k| (1..=members.len()).contains(k))
                .ok_or("the threshold is not all, any or a number from 1 to the number of members")?,
        };
        let mut resolved = Vec::with_capacity(members.len());
        for member in members {
            let member = *self.names.get(*member).ok_or("a member is not defined on an earlier line")?;
            // tlog-policy: each name can be listed as a group member at most once.
            if self.grouped.contains(&member) {
                return Err("a name is member of a group twice");
            }
            self.grouped.push(member);
            resolved.push(member);
        }
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(PolicyGroup { name: name.to_vec(), threshold, members: resolved });
        Ok(())
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), &'static str> {
        if self.quorum.is_some() {
            return Err("a second quorum line");
        }
        self.quorum = Some(match name {
            b"none" => None,
            name => Some(*self.names.get(name).ok_or("the quorum is not defined on an earlier line")?),
        });
        Ok(())
    }

    fn define(&mut self, name: &[u8], member: Member) -> Result<(), &'static str> {
        if name == b"none" {
            return Err("the name none is reserved");
        }
        if self.names.insert(name.to_vec(), member).is_some() {
            return Err("the name is defined twice");
        }
        Ok(())
    }

    fn vkey(&self, text: &[u8]) -> Result<Vkey, &'static str> {
        let vkey =
            std::str::from_utf8(text).ok().and_then(|text| Vkey::parse(text).ok()).ok_or("not a verifier key")?;
        let mut known = self.logs.iter().map(|log| &log.vkey).chain(self.witnesses.iter().map(|w| &w.vkey));
        // tlog-policy: the same public key twice is a duplicate, also under another name or type.
        if known.any(|key| key.same_key(&vkey)) {
            return Err("the public key stands on an earlier line");
        }
        Ok(vkey)
    }
}
