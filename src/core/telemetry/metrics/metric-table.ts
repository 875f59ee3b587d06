import { SVID_REFUSALS } from '../../identity/svid.ts';
import { FATES } from '../../ledger/use-fates.ts';
import { OUTCOME_CLASSES } from '../../ledger/outcome-class.ts';
import { CACHE_RESULTS } from '../../policy/answers/cache.ts';
import { CAUSE_KINDS } from '../../task/cause.ts';
import { PROOF_BOUNDS } from '../../token/proof/proof-share.ts';
import { REUSE_CLASSES } from '../../token/reuse.ts';
import { counter, gauge, histogram } from './metric-entry.ts';
import { observeMetricTable } from './observe-metric-table.ts';
import { recordMetricTable } from './record-metric-table.ts';
import { QUEUES } from '../spans/span-router.ts';

const TRIAL_SOURCES = ['candidate', 'shadow'] as const;

const decision = ['allow', 'deny'] as const;

/**
 * All metrics. A label is a closed list or `null`; values of an open label come from configuration, policy folder and issuer routes,
 * never from a request. Task, token, agent, host and path are never labels.
 */
export const metricTable = {
  decisions: counter(
    'remit_decisions_total',
    'Checks by decision, reason (none for an allow) and action of the catalog (none for an unknown action)',
    { decision, reason: null, action: null },
  ),
  ...observeMetricTable,
  permitUntil: gauge(
    'remit_policy_permit_until_timestamp_seconds',
    'End of a permit with `@until`, by its id, in Unix time: from then on it counts as absent; the 100 that end first, no sample of a permit that has ended',
    { policy: null },
  ),
  checkDuration: histogram(
    'remit_check_duration_seconds',
    'Duration of a check from the decoded request to its answer, with its trace as exemplar',
    {},
  ),
  stageDuration: histogram(
    'remit_check_stage_duration_seconds',
    'Duration of a check by stage: gather reads identity, token, task and action; decide evaluates the policies; settle spends budgets and records',
    { stage: ['gather', 'decide', 'settle'] },
  ),
  checkLongestTurn: gauge(
    'remit_check_longest_turn_seconds',
    'Longest time that one part of one check held the event loop, in the last one to two minutes',
    {},
  ),
  checkLongTurns: counter(
    'remit_check_long_turns_total',
    'Parts of checks that held the event loop for more than 50 ms, by stage: decode the message, read the call, decide, answer, report',
    { stage: ['decode', 'read', 'decide', 'answer', 'report'] },
  ),
  socketRebinds: counter(
    'remit_socket_rebinds_total',
    'Sockets of `extAuthz.listen` that somebody removed, bound anew (`extAuthz.socketTakeOver`)',
    {},
  ),
  serverRefusals: counter(
    'remit_server_refusals_total',
    'Requests denied without a check, by cause: too many at once, queued too long, rate of one agent exceeded, deadline passed, check failed, invalid message, message too large',
    { cause: ['full', 'late', 'agent', 'deadline', 'failed', 'unreadable', 'too-large'] },
  ),
  checksInFlight: gauge('remit_checks_in_flight', 'Checks in progress', {}),
  issuerRequests: counter(
    'remit_issuer_requests_total',
    'Requests to the issuer by endpoint (none for an unknown path) and status (gone if the client left before the answer)',
    { endpoint: null, status: null },
  ),
  issuerDuration: histogram(
    'remit_issuer_request_duration_seconds',
    'Duration of a request to the issuer from its headers to its answer, including the wait for its turn',
    { endpoint: null },
  ),
  issuerInFlight: gauge('remit_issuer_requests_in_flight', 'Requests to the issuer in progress', {}),
  issuerRefusals: counter(
    'remit_issuer_refusals_total',
    'Requests refused and connections closed by the issuer, by limit: all connections; connections, concurrent requests, rate and unanswered requests on one connection of one client; handshakes of one address; wait for a turn',
    {
      bound: ['connections', 'client-connections', 'client-requests', 'client-rate', 'pipeline', 'handshakes', 'turn'],
    },
  ),
  tokenUses: counter('remit_token_uses_total', 'Uses of verified tokens by reuse class; of several, the most serious', {
    class: REUSE_CLASSES,
  }),
  proofsRefused: counter(
    'remit_proofs_refused_total',
    'Valid proofs of possession refused because the replay memory was full, by role and by the bound reached',
    { role: ['checks', 'issuer'], bound: PROOF_BOUNDS },
  ),
  clockLead: gauge(
    'remit_clock_lead_seconds',
    'Lead of the wall clock over the clock that ends tasks; negative if it is behind, 0 if they agree',
    {},
  ),
  tokensIssued: counter('remit_tokens_issued_total', 'Tokens issued and recorded', {}),
  intents: counter('remit_intents_total', 'Declared intents by decision', { decision }),
  intentsAfterStop: counter(
    'remit_intents_after_stop_total',
    'Declared intents refused since a like task of the agent was stopped by somebody else',
    {},
  ),
  sidecarLease: gauge(
    'remit_sidecar_lease_seconds',
    'Seconds until a sidecar denies all uses of tasks unless an authority answers; 0 while it denies',
    {},
  ),
  sidecarFollowing: gauge('remit_sidecar_following', 'Whether a sidecar follows an authority: 1 or 0', {}),
  sidecarPosition: gauge('remit_sidecar_position', 'Number of the last change of tasks that a sidecar has applied', {}),
  sidecarCards: gauge('remit_sidecar_cards', 'Tasks whose state a sidecar holds', {}),
  sidecarOpens: counter('remit_sidecar_opens_total', 'Tokens that a sidecar asked an authority for, by result', {
    result: ['opened', 'failed'],
  }),
  sidecarSettles: counter(
    'remit_sidecar_settles_total',
    'Uses that a sidecar settled at an authority, by result; unknown if none answered in time',
    { result: ['settled', 'refused', 'unknown'] },
  ),
  authoritySidecars: gauge('remit_authority_sidecars', 'Sidecars that follow an authority', {}),
  authorityPosition: gauge(
    'remit_authority_position',
    'Number of the last change of tasks that an authority has processed',
    {},
  ),
  authorityBehind: gauge(
    'remit_authority_behind',
    'Changes of tasks that the connected sidecar furthest behind has not acknowledged',
    {},
  ),
  authorityCommitAge: gauge(
    'remit_authority_commit_age_seconds',
    'Seconds since the database last took a commit of an authority; over the lease, no lease is renewed',
    {},
  ),
  databaseTimeline: gauge('remit_database_timeline', 'Timeline of the primary; grows with each failover', {}),
  databaseStandbys: gauge(
    'remit_database_standbys',
    'Standbys that stream from the primary, by whether a commit waits for them',
    {
      commits: ['wait', 'go-on'],
    },
  ),
  databaseTransaction: gauge(
    'remit_database_oldest_transaction_seconds',
    'Age of the oldest transaction that is open in the database, of any client; it makes commits slow. 0 if there is none',
    {},
  ),
  stops: gauge('remit_stops', 'Stops of operators in force, by kind', {
    kind: ['all', 'agent', 'user', 'server', 'action'],
  }),
  stopsUnsealed: gauge(
    'remit_stops_unsealed',
    'Stops in force whose row in the database no authority wrote; they hold until an operator lifts them',
    {},
  ),
  signalsSent: counter(
    'remit_signals_sent_total',
    'Security events that were pushed, by receiver and result: taken, refused for good, or failed and to be sent again',
    { receiver: null, result: ['taken', 'refused', 'failed'] },
  ),
  signalsDropped: counter(
    'remit_signals_dropped_total',
    'Security events that were dropped before a receiver had them, since they were older than a week or more than 10,000 waited for it',
    { receiver: null },
  ),
  signalsWaiting: gauge(
    'remit_signals_waiting',
    'Security events that wait for a receiver, at the process that sends them',
    { receiver: null },
  ),
  signalsOldest: gauge(
    'remit_signals_oldest_seconds',
    'Age of the oldest event that waits for a receiver; 0 if none does',
    { receiver: null },
  ),
  toolPinsOverdue: gauge(
    'remit_tool_pins_overdue_seconds',
    'How long the list of tools of an MCP server of `issuer.toolPins` is overdue, beyond the pause between two looks; 0 if it is not',
    { server: null },
  ),
  limitUsed: gauge(
    'remit_limit_used_ratio',
    'How far the fullest counter of a limit over all tasks is used in its window, by the id of the limit and what it counts: 1 is all of it',
    { limit: null, measure: ['calls', 'amount', 'decimal', 'distinct', 'tasks'] },
  ),
  tasks: gauge('remit_tasks', 'Open tasks, by state', { state: ['active', 'suspended'] }),
  endedTasks: gauge('remit_ended_tasks', 'Ended tasks that are kept', {}),
  prunedTasks: counter('remit_pruned_tasks_total', 'Ended tasks deleted from the state file', {}),
  pruneFailures: counter(
    'remit_prune_failures_total',
    'Failed steps of pruning; each is retried, and no decision waits for it',
    {},
  ),
  stateBytes: gauge('remit_state_bytes', "Size of the state file on disk, without SQLite's log", {}),
  stateFree: gauge('remit_state_free_bytes', 'Free space within the state file', {}),
  taskEnds: counter(
    'remit_task_ends_total',
    'Ended tasks by final state and kind of cause: the part of the cause code before the dot',
    {
      state: ['completed', 'cancelled', 'revoked', 'expired'],
      cause: CAUSE_KINDS,
    },
  ),
  bindingViolations: counter(
    'remit_binding_violations_total',
    'Verified tokens presented by another workload than that they were issued to; each token once',
    {},
  ),
  peerCertificatesMissing: counter(
    'remit_peer_certificates_missing_total',
    'Checks without the certificate of an identified caller, if tokens are bound to certificates: Envoy does not send it',
    {},
  ),
  networkRefusals: counter(
    'remit_network_refusals_total',
    'Connections of checks over the network that were refused: a SPIFFE ID that `extAuthz.callers` lacks, or an expired certificate',
    {},
  ),
  sideWrites: counter(
    'remit_side_writes_total',
    'Background writes by kind and result: failed writes are retried, dropped writes are lost for lack of room or time',
    { kind: ['secrets', 'revocation', 'idle', 'uses'], result: ['written', 'failed', 'dropped'] },
  ),
  sideWritesQueued: gauge('remit_side_writes_queued', 'Background writes in the queue', {}),
  signals: counter('remit_signals_total', 'Accepted security events by effect, once for each task concerned', {
    effect: ['revoke', 'suspend', 'risk', 'ask', 'attest', 'stop-agent', 'stop-user', 'ignore'],
  }),
  staticSecrets: counter(
    'remit_static_secrets_total',
    'Long-lived secrets seen in calls, by kind and decision of the call',
    {
      kind: null,
      decision,
    },
  ),
  outcomes: counter('remit_outcomes_total', 'Calls in the access log by class of outcome', {
    class: OUTCOME_CLASSES,
  }),
  allowedCalls: counter(
    'remit_allowed_calls_total',
    'Calls that this process allowed, by what became of them: allowed is not executed',
    { fate: FATES },
  ),
  bypasses: counter('remit_bypasses_total', 'Calls that reached an upstream without an allowed check', {}),
  failureModeAllowed: counter(
    'remit_failure_mode_allowed_total',
    'Calls that Envoy let pass without an answer from Remit; zero unless failure_mode_allow is on',
    {},
  ),
  deniedServed: counter('remit_denied_served_total', 'Denied calls that an upstream answered nevertheless', {}),
  accessLogsLost: counter('remit_access_logs_lost_total', 'Times that the last connected access log disconnected', {}),
  outcomesMissing: counter('remit_outcomes_missing_total', 'Allowed calls without a reported outcome', {}),
  ...recordMetricTable,
  policyInfo: gauge('remit_policy_info', 'Hash of the policy set in force, as a label; always 1', { hash: null }),
  policyGeneration: gauge(
    'remit_policy_generation',
    'Number of policy sets in force since the start, including the current set',
    {},
  ),
  policyAge: gauge('remit_policy_age_seconds', 'Time since the policy set in force was loaded', {}),
  policyUnconfirmed: gauge(
    'remit_policy_unconfirmed_seconds',
    'Time since the source of the policies last confirmed the set in force',
    {},
  ),
  policyTrials: counter('remit_policy_trials_total', 'Decisions also made by policies on trial', {
    source: TRIAL_SOURCES,
  }),
  policyTrialDifferences: counter(
    'remit_policy_trial_differences_total',
    'Decisions on which a candidate set or a shadow policy differs',
    { source: TRIAL_SOURCES, change: ['allow-to-deny', 'deny-to-allow'], action: null },
  ),
  policyTrialsSkipped: counter(
    'remit_policy_trials_skipped_total',
    'Decisions not made by policies on trial because too many waited',
    {},
  ),
  policyLoadFailures: counter(
    'remit_policy_load_failures_total',
    'Failed loads of policies, after which the last good set stays in force',
    {},
  ),
  policyCandidateFailures: counter(
    'remit_policy_candidate_failures_total',
    'Failed loads of a candidate set, after which nothing or an earlier set is on trial',
    {},
  ),
  cacheRequests: counter(
    'remit_cache_requests_total',
    'Cache look-ups by result; bypass: not cacheable, because no policy could match, the engine had to be asked or the check ended earlier; signature: only the signature of the token was known',
    { cache: ['decision', 'token'], result: [...CACHE_RESULTS, 'signature'] },
  ),
  cacheEntries: gauge('remit_cache_entries', 'Cached entries by cache: answers and tokens', {
    cache: ['allow', 'deny', 'token'],
  }),
  policySlices: gauge(
    'remit_policy_slices',
    'Slices of the policy set in force: known (requested by calls), and parsed in the engine',
    { state: ['known', 'parsed'] },
  ),
  policiesParsed: gauge('remit_policies_parsed', 'Policies in the slices parsed in the engine', {}),
  keysAge: gauge('remit_keys_age_seconds', "Time since the last good answer of an issuer's key server", {
    issuer: null,
  }),
  svidLifetime: gauge('remit_svid_lifetime_seconds', "Validity period of the process's own SVID", {}),
  svidExpiry: gauge('remit_svid_expiry_timestamp_seconds', "Expiry of the process's own SVID, in Unix time", {}),
  svidRefused: gauge(
    'remit_svid_refused',
    'Whether the SVID that was offered last is not in use, by what is wrong with it; no sample if it is in use',
    { cause: SVID_REFUSALS },
  ),
  dependencyUp: gauge('remit_dependency_up', 'Conditions of readiness; 1 if met', { name: null }),
  spansDropped: counter('remit_spans_dropped_total', 'Spans dropped before export, by queue', { queue: QUEUES }),
  spansTaken: gauge('remit_spans_taken', 'Whether the last batch of spans that was sent was taken; 1 or 0', {}),
  decisionLogDropped: counter(
    'remit_decision_log_dropped_total',
    'Lines of the decision log dropped because the reader was too slow',
    {},
  ),
  eventLoopDelay: gauge(
    'remit_event_loop_delay_seconds',
    'Event loop delay since the last scrape or push: median, 99th percentile and maximum; resolution 50 ms',
    { stat: ['p50', 'p99', 'max'] },
  ),
  buildInfo: gauge('remit_build_info', 'Versions of Remit and of Node.js, as labels; always 1', {
    version: null,
    node: null,
  }),
  cpuSeconds: counter('process_cpu_seconds_total', 'User and system CPU time', {}),
  residentBytes: gauge('process_resident_memory_bytes', 'Resident memory', {}),
  startTime: gauge('process_start_time_seconds', 'Start of the process, in Unix time', {}),
} as const;
