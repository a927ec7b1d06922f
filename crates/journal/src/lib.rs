//! The one door between events and the log: append, receipt, Scope, folds over committed entries.
