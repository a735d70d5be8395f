#pragma once

namespace walcast::redis_scripts {

// The Lua that runs inside Redis. Each script checks all that can fail before its first write,
// since Redis does not roll back, and answers with an error reply that begins with one of
//   FENCED    another owner has taken over, which is the next word
//   POSITION  the stored position is not the expected one
//   CHANNEL   a channel's history cannot be appended to

// Takes ownership, if all that walcast does is permitted. KEYS: position. ARGV: owner, prefix, WAIT
// when that has to be permitted, too. Returns the position's fields and values. For no owner it
// only looks whether it could.
extern const char* const take_over;

// Notes the source, and says on the control channel that the agent is up or down. KEYS: position,
// control. ARGV: owner, state, then fields and values.
extern const char* const adopt;

// Writes the very first position, if there is none. KEYS: position. ARGV: fields and values.
// Returns 1 when it was written.
extern const char* const first_position;

// One batch. KEYS: position, channels, control, then the history of each channel.
// ARGV: owner, expected position, new position (each as sync_id lsn commit_lsn xid changes hash,
// the last four empty between transactions), history length, n, rules ('' as before), the last
// transaction, number of receipts, their age in seconds, QUIET when messages are not published on
// channels of their own names ('' otherwise), the outputs' clock ('' without), then for each of the
// n channels: name, last id there ('' when not known), 1 to note it in the index of channels; then
// for each message: which channel (0: control), its last id ('': no part of the history), its
// bytes, and for what else is published after it: `publish`, Redis channel, bytes; or `again`,
// Redis channel, '': the message itself; then for each receipt: mutation id, text. For a channel
// whose last id is not known the first message's prevSyncId is empty, and filled in here.
extern const char* const commit;

// Begins an epoch. KEYS: position, channels, channels of the epoch before. ARGV: owner, then fields
// and values of the position.
extern const char* const begin_epoch;

// The largest id in some histories. KEYS: an index of channels. ARGV: prefix, first, last (of the
// index). Returns the largest id and how many channels were looked at.
extern const char* const newest;

// Begins some histories anew, with a reset. KEYS: position, channels, channels of the epoch before,
// control. ARGV: owner, prefix, reset message, its id, count at most, QUIET or ''. Returns how many
// are left.
extern const char* const reset_some;

// Removes histories not written to for long. KEYS: position, channels. ARGV: owner, prefix, age in
// seconds, count at most. Raises `floor`. Returns how many were removed.
extern const char* const remove_aged;

}  // namespace walcast::redis_scripts
