"""The protocol with one rule left out at a time: each must be noticed by that rule's own test.

A mutant is a piece of a script (or of what a worker does beside it) with another text in its place. The rules are those
that a search over a model of the protocol found necessary.
"""

from typing import Any, NamedTuple

from smsq.states import State


class Mutant(NamedTuple):
    """A rule, left out.

    Attributes:
        rule: Its number.
        what: What is missing then.
        file: Where: a script's file, or a module.
        old: The text that keeps the rule.
        new: What stands there instead.
        test: The module and the function that must fail.
        given: The function's parameters.
    """

    rule: int
    what: str
    file: str
    old: str
    new: str
    test: str
    given: dict[str, Any]


_LOST = "the answer was lost"
_ASKING, _UNSETTLED, _TOLD = "test_rules_asking", "test_rules_unsettled", "test_rules_told"
_EPOCHS, _KEYS = "test_rules_epochs", "test_rules_keys"

MUTANTS = [
    Mutant(
        1, "who goes to a lane leaves `due`", "_record.lua",
        "  in_due('ZREM', unpack(ids))\n", "",
        "test_rules.test_rule_1_a_job_that_is_not_final_is_on_its_lane_once_or_in_due_once",
        {"life": "taken and forgotten"},
    ),
    Mutant(
        1, "who is asked about is in `due`", "_asking.lua",
        "  schedule(job.id, now + FIRST_PAUSE)\n", "",
        "test_rules.test_rule_1_a_job_that_is_not_final_is_on_its_lane_once_or_in_due_once",
        {"life": "purged in doubt"},
    ),
    Mutant(
        2, "what isn't queued is dropped", "take.lua",
        "job.state ~= 'queued' or in_due('ZSCORE', id)", "in_due('ZSCORE', id)",
        "test_rules.test_rule_2_take_drops_ids_of_jobs_that_are_not_queued", {"state": State.SENT},
    ),
    Mutant(
        2, "a reservation isn't moved", "take.lua",
        "job.state ~= 'queued' or in_due('ZSCORE', id)", "job.state ~= 'queued'",
        "test_rules.test_rule_2_take_never_moves_a_reservation", {},
    ),
    Mutant(
        3, "what is on a lane isn't begun", "begin.lua",
        "if not due then return {'waiting'} end", "due = due or now",
        "test_rules.test_rule_3_begin_refuses_a_job_that_is_on_a_lane", {},
    ),
    Mutant(
        4, "handing back needs a reservation", "untake.lua",
        " and in_due('ZSCORE', job.id)", "",
        "test_rules.test_rule_4_only_a_reserved_job_is_handed_back", {"state": State.QUEUED},
    ),
    Mutant(
        4, "the dispatcher moves entries", "take_due.lua",
        "      to_lane(job.lane, job.batch, {id}, reserved)\n", "      redis.call('ZREM', DUE, id)\n",
        "test_rules.test_rule_4_the_dispatcher_moves_entries",
        {"state": State.RETRYING, "becomes": State.QUEUED},
    ),
    Mutant(
        5, "a paused job goes back at once", "begin.lua",
        "      to_lane(job.lane, job.batch, {id}, true)\n      return {'paused'}", "      return {'paused'}",
        "test_rules.test_rule_5_a_paused_lanes_job_goes_back_in_the_same_call", {"what": "normal"},
    ),
    Mutant(
        6, "the token is the caller's", "begin.lua",
        "'sending', now, 'token', nonce,", "'sending', now, 'token', attempts,",
        "test_rules_tokens.test_rule_6_a_ledger_that_went_back_in_time_gives_no_token_twice", {},
    ),
    Mutant(
        6, "copies in one call are begun once", "begin.lua",
        "seen[ARGV[i]] and {'taken'} or begin(ARGV[i])", "begin(ARGV[i])",
        "test_rules_tokens.test_rule_6_copies_of_a_hint_in_one_call_are_begun_once", {},
    ),
    Mutant(
        7, "a repeat tells what is left", "begin.lua",
        "left = due - now", "left = lease",
        "test_rules_tokens.test_rule_7_a_begin_that_is_repeated_answers_the_same_and_what_is_left", {},
    ),
    Mutant(
        7, "a nonce of an older epoch is refused", "begin.lua",
        "if stale then return {'epoch'} end", "",
        "test_rules_tokens.test_rule_7_a_nonce_of_an_older_epoch_begins_nothing", {},
    ),
    Mutant(
        8, "the lease must cover the call", "tasks.hold",
        "self.lease_until - self.call_timeout - MARGIN", "self.lease_until",
        "test_rules_tokens.test_rule_8_a_call_must_start_while_lease_and_expiry_last", {"expires_in": None},
    ),
    Mutant(
        8, "the job must not have expired", "tasks.hold",
        "return start_by if self.expires_at is None else min(start_by, self.expires_at)", "return start_by",
        "test_rules_tokens.test_rule_8_a_call_must_start_while_lease_and_expiry_last", {"expires_in": 15_000},
    ),
    Mutant(
        8, "no newer epoch may be known", "tasks.hold",
        "if self.known.epoch != self.epoch:", "if self.epoch < 0:",
        "test_rules_tokens.test_rule_8_no_call_starts_once_a_newer_epoch_is_known", {},
    ),
    Mutant(
        9, "only a lease that runs is renewed", "renew.lua",
        " and tonumber(due) > NOW then", " then",
        "test_rules_tokens.test_rule_9_a_lease_that_ran_out_is_not_renewed", {},
    ),
    Mutant(
        9, "only in its own epoch", "renew.lua",
        "epoch == EPOCH.number and read(ARGV[i])", "read(ARGV[i])",
        "test_rules_tokens.test_rule_9_a_token_renews_in_its_own_epoch_only", {},
    ),
    Mutant(
        10, "a token that has settled begins nothing", "begin.lua",
        "job.state ~= 'queued' or job.token == nonce then", "job.state ~= 'queued' then",
        "test_rules_tokens.test_rule_10_a_token_that_has_settled_begins_nothing_again", {"to": State.RETRYING},
    ),
    Mutant(
        11, "not sent is believed from the holder", "settle.lua",
        "if job.token ~= s.token or s.epoch ~= EPOCH.number then", "if s.epoch ~= EPOCH.number then",
        "test_rules_tokens.test_rule_11_not_sent_is_believed_from_the_holder_only",
        {"state": State.SENDING, "to": State.FAILED},
    ),
    Mutant(
        11, "and in its own epoch", "settle.lua",
        "if job.token ~= s.token or s.epoch ~= EPOCH.number then", "if job.token ~= s.token then",
        "test_rules_tokens.test_rule_11_not_sent_is_believed_in_the_holders_epoch_only", {"to": State.FAILED},
    ),
    Mutant(
        12, "asking has a token", "answer.lua",
        "job.ask.token ~= a.token or ", "",
        f"{_ASKING}.test_rule_12_of_two_askers_one_decides", {},
    ),
    Mutant(
        13, "the settling time is over when the question is put", "take_due.lua",
        "over and proof or false", "proof or false",
        f"{_ASKING}.test_rule_13_a_dead_workers_call_may_act_from_its_leases_end_on", {},
    ),
    Mutant(
        14, "the canary is newer than the call could act", "take_due.lua",
        "canary_called and canary_called >= last + bound", "canary_called and true",
        f"{_ASKING}.test_rule_14_the_canary_must_be_newer_than_the_call_could_act", {"newer": False},
    ),
    Mutant(
        14, "its moment is when it was called", "settle.lua",
        "new_canary(job.id, now - s.ago, delay)", "new_canary(job.id, now, delay)",
        f"{_ASKING}.test_rule_14_the_canarys_moment_is_when_its_call_began", {},
    ),
    Mutant(
        15, "a refusal doesn't settle an earlier call", "_asking.lua",
        "local function end_uncalled(job, how, now, retention, ...)\n  if uncertain(job) then",
        "local function end_uncalled(job, how, now, retention, ...)\n  if job.doubt then",
        f"{_UNSETTLED}.test_rule_15_a_refusal_of_the_second_call_says_nothing_of_the_first",
        {"how": _LOST, "found": True},
    ),
    Mutant(
        15, "nor does a cancel", "_asking.lua",
        "local function end_uncalled(job, how, now, retention, ...)\n  if uncertain(job) then",
        "local function end_uncalled(job, how, now, retention, ...)\n  if job.doubt then",
        f"{_UNSETTLED}.test_rules_15_and_22_a_cancelled_resent_job_is_asked_about", {"how": _LOST, "found": True},
    ),
    Mutant(
        16, "nothing is decided while a twin is unsettled", "answer.lua",
        "  if not job.twin then return false end\n", "  do return false end\n",
        f"{_UNSETTLED}.test_rule_16_nothing_is_decided_while_a_twin_is_unsettled", {},
    ),
    Mutant(
        16, "one in `unknown` counts", "answer.lua",
        "or other.state == 'unknown' ", "",
        f"{_UNSETTLED}.test_rule_16_a_twin_in_unknown_counts_as_unsettled", {},
    ),
    Mutant(
        16, "another job's message isn't free", "answer.lua",
        "if type(owner) ~= 'string' or owner == job.id then", "if true then",
        f"{_UNSETTLED}.test_rule_16_nothing_is_decided_while_a_twin_is_unsettled", {},
    ),
    Mutant(
        17, "the server's identity is compared", "_epoch.lua",
        "found[2] == server and number >= known", "number > 0 and number >= known",
        f"{_EPOCHS}.test_rule_17_a_restart_is_another_epoch", {},
    ),
    Mutant(
        17, "a caller may know a newer epoch", "_epoch.lua",
        "found[2] == server and number >= known", "found[2] == server",
        f"{_EPOCHS}.test_rule_17_a_caller_that_knows_a_newer_epoch_starts_another", {},
    ),
    Mutant(
        18, "what was written before is in doubt", "_record.lua",
        "job.doubt = job.epoch ~= tostring(EPOCH.number)", "job.doubt = false",
        f"{_EPOCHS}.test_rule_18_every_job_from_before_is_asked_about_before_it_is_called", {"state": State.QUEUED},
    ),
    Mutant(
        18, "no write of ours ends a doubt", "_record.lua",
        "redis.call('HSET', job_key(job.id), 'state', to, ...)\n  if job.state ~= to",
        "redis.call('HSET', job_key(job.id), 'state', to, 'epoch', EPOCH.number, ...)\n  if job.state ~= to",
        f"{_EPOCHS}.test_rule_18_every_job_from_before_is_asked_about_before_it_is_called",
        {"state": State.SCHEDULED},
    ),
    Mutant(
        19, "someone may still be calling from before", "_asking.lua",
        "return job.doubt and math.max(job.ask.last, EPOCH.started + lease) or job.ask.last", "return job.ask.last",
        f"{_EPOCHS}.test_rule_19_it_holds_for_jobs_that_were_being_asked_about", {},
    ),
    Mutant(
        19, "for a lease after the epoch's start", "_asking.lua",
        "EPOCH.started + lease)", "EPOCH.started)",
        f"{_EPOCHS}.test_rule_19_in_doubt_absence_counts_a_lease_and_the_settling_time_after_the_epochs_start",
        {"state": State.QUEUED},
    ),
    Mutant(
        20, "a jump of the clock is a new epoch", "smsq.scripts",
        "            self.epoch += 1\n", "            pass\n",
        f"{_KEYS}.test_rule_20_a_jump_of_the_servers_clock_is_noticed", {"jump": 3},
    ),
    Mutant(
        21, "a forgotten key is asked about", "enqueue.lua",
        "TRIED) < EPOCH.started", "TRIED) < 0",
        f"{_KEYS}.test_rule_21_a_key_that_the_ledger_has_forgotten_is_asked_about", {"forgotten": True},
    ),
    Mutant(
        22, "cancelled means uncalled", "cancel.lua",
        "(job.asking or how == 'expired') and 'late' or 'cancelled'", "'cancelled'",
        f"{_TOLD}.test_rule_22_a_job_in_doubt_is_asked_about_and_nobody_is_told_that_it_was_cancelled",
        {"state": State.QUEUED},
    ),
    Mutant(
        23, "a repeated begin writes", "begin.lua",
        "    redis.call('HSET', job_key(id), 'token', nonce)   -- something for a WAIT to confirm\n", "",
        f"{_TOLD}.test_rule_23_a_repeat_writes_something_for_the_disk_to_confirm", {},
    ),
    Mutant(
        23, "a repeated settle writes", "settle.lua",
        "    redis.call('HSET', job_key(job.id), 'token', s.token)   -- something for a WAIT to confirm\n", "",
        f"{_TOLD}.test_rule_23_a_repeat_writes_something_for_the_disk_to_confirm", {},
    ),
    Mutant(
        23, "a repeated enqueue writes", "enqueue.lua",
        "  redis.pcall('HINCRBY', job_key(id), 'asked', 1)\n", "",
        f"{_TOLD}.test_rule_23_a_repeat_writes_something_for_the_disk_to_confirm", {},
    ),
    Mutant(
        23, "a repeated cancel writes", "cancel.lua",
        "  redis.pcall('HINCRBY', job_key(id), 'asked', 1)   -- something for a WAIT to confirm\n", "",
        f"{_TOLD}.test_rule_23_a_repeat_writes_something_for_the_disk_to_confirm", {},
    ),
    Mutant(
        24, "a permit has a lease", "take.lua",
        "'probe_at', now + lease)", "'probe_at', now + 10 * lease)",
        "test_gates.test_rule_24_a_probes_permit_has_a_lease", {},
    ),
    Mutant(
        24, "one probe at a time", "take.lua",
        "math.min(want, 1)", "want",
        "test_gates.test_rule_24_one_probe_passes_at_a_time", {},
    ),
]  # fmt: skip


def _following(what: str, file: str, old: str, new: str, test: str, **given: Any) -> Mutant:  # noqa: ANN401
    """A guard of what is written of a message after it was sent; none of the protocol's rules."""
    return Mutant(0, what, file, old, new, f"test_following.test_{test}", given)


FOLLOWING = [
    _following(
        "it is asked about for so long only", "follow.lua", "if job.till <= now then", "if job.till <= 0 then",
        "a_delivery_that_never_ends_is_given_up",
    ),
    _following(
        "what is taken is moved ahead", "follow.lua", "  redis.call('ZADD', FOLLOW, now + lease, job.id)\n", "",
        "a_lost_asker_s_messages_are_asked_about_by_another",
    ),
    _following(
        "an entry outlives its asker", "follow.lua", "ZADD', FOLLOW, now + lease, job.id", "ZREM', FOLLOW, job.id",
        "a_lost_asker_s_messages_are_asked_about_by_another",
    ),
    _following(
        "gates hold questions back", "follow.lua", "closed(CIRCUIT) or ", "",
        "nobody_asks_while_the_gateway_fails_or_refuses_the_worker",
    ),
    _following(
        "a gate of one's own too", "follow.lua", " or closed(worker_gate(worker))", "",
        "nobody_asks_while_the_gateway_fails_or_refuses_the_worker",
    ),
    _following(
        "off is off", "follow.lua", "not (job.moderated or wanted == '1')", "false",
        "entries_of_records_that_are_gone_are_dropped",
    ),
    _following(
        "a decision is of the campaign", "followed.lua", " or job.campaign_id ~= a.campaign then", " then",
        "a_declined_message_has_failed",
    ),
    _following(
        "a status is of the message", "followed.lua", " or job.message_id ~= a.message then", " then",
        "every_word_is_heard", word="stale",
    ),
    _following(
        "a decision is made once", "followed.lua", "not job.moderated or ", "",
        "what_a_moderator_let_pass_is_sent", delivery=True,
    ),
    _following(
        "a final delivery stays", "followed.lua", "  stop_following(job.id)\n  return 'delivery'", "return 'delivery'",
        "a_delivery_is_asked_about_until_it_is_final",
    ),
    _following(
        "a hint stays", "followed.lua", "if at > math.max(now, job.last + HINTED) then", "if true then",
        "f68_a_hint_only_has_it_asked_about_sooner",
    ),
    _following(
        "hints are put together", "ask_delivery.lua", "math.max(NOW, job.last + HINTED)", "NOW",
        "f68_a_hint_only_has_it_asked_about_sooner",
    ),
    _following(
        "a declined message is never sent again", "retry.lua", "if job.message_id then return 'declined' end", "",
        "a_declined_message_has_failed",
    ),
    _following(
        'declined stays, whoever says "sent" again', "_asking.lua", "job.state == 'sent' or job.message_id",
        "job.state == 'sent'", "a_declined_message_has_failed",
    ),
    _following(
        "declined stays, whoever finds it", "answer.lua", "\n     and not job.message_id then", " then",
        "a_declined_message_has_failed",
    ),
]  # fmt: skip


def _turns(what: str, old: str, new: str, test: str) -> Mutant:
    """What makes `take` fair; none of the protocol's rules."""
    return Mutant(0, what, "take.lua", old, new, f"test_turns.test_{test}", {})


_ELEVENTH = "of_ten_that_pass_a_lane_by_an_eleventh_is_its_own"
_HALF = "a_lane_is_owed_half_at_most_and_what_it_lacks_is_the_others"
_SHARE = "batches_of_a_lane_share_what_is_taken_and_take_turns"
_ENDS = "a_cancelled_batch_ends_inside_take_so_many_a_call"
_LATE = "a_batch_whose_first_jobs_expired_gives_its_share_and_no_more"

TURNS = [
    _turns("a lane that is passed by is owed", "reserved = reserved + owed[lane]", "owed[lane] = 0", _ELEVENTH),
    _turns("higher lanes leave it that", "take_from(lane, want - others)", "take_from(lane, want)", _ELEVENTH),
    _turns("what it was given is paid", "above - PASSED * got[lane]) or 0", "above) or 0", _ELEVENTH),
    _turns("it is owed half at most", "math.ceil(want / 2))", "want)", _HALF),
    _turns("what it doesn't use is theirs", "for turn = 1, 2 do", "for turn = 1, 1 do", _HALF),
    _turns(
        "a paused lane isn't taken from", "not paused(lane), 0, 0", "true, 0, 0",
        "a_paused_lane_is_passed_over_and_owed_nothing",
    ),
    _turns(
        "nor passed by", "local now_passed = waits and", "local now_passed =",
        "a_paused_lane_is_passed_over_and_owed_nothing",
    ),
    _turns(
        "a batch goes to the ring's end", "'RPUSH', 'smsq:lane:' .. lane, batch",
        "'LPUSH', 'smsq:lane:' .. lane, batch", _SHARE,
    ),
    _turns("a batch has a share", "math.min(each, upto - taken)", "upto - taken", _SHARE),
    _turns("each has the same", "each = each or", "each =", _SHARE),
    _turns("who is cancelled is no task", "if cancelled then ends", "if false then ends", _ENDS),
    _turns("a batch's ended jobs end in take", "job.batch ~= '' and ended(job, now)", "false", _ENDS),
    _turns("so many in a call", "return ends < ENDS, each", "return true, each", _ENDS),
    _turns("Flower's count follows", "if gone > 0 then take_turns(lane, gone) end", "", _LATE),
    _turns("what is over is gone through", "over[batch] = taken == before", "", _LATE),
    _turns("up to the share", "if taken - before == share then break end", "", _LATE),
]  # fmt: skip
