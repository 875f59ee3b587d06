import { OUTCOME_CLASSES } from '../outcome/outcome.ts';
import { CACHE_RESULTS } from '../policy/answers/cache.ts';
import { CAUSE_KINDS } from '../task/cause.ts';
import { PROOF_BOUNDS } from '../token/proof-share.ts';
import { REUSE_CLASSES } from '../token/reuse.ts';
import type { Labels } from './metric-family.ts';
import { QUEUES } from './span-router.ts';

const counter = <const L extends Labels>(name: `${string}_total`, help: string, labels: L) =>
  ({ type: 'counter', name, help, labels }) as const;
const gauge = <const L extends Labels>(name: string, help: string, labels: L) =>
  ({ type: 'gauge', name, help, labels }) as const;
const histogram = <const L extends Labels>(name: `${string}_seconds`, help: string, labels: L) =>
  ({ type: 'histogram', name, help, labels, buckets: SECONDS }) as const;

const TRIAL_SOURCES = ['candidate', 'shadow'] as const;

/** From a fast check to Envoy's longest timeout. */
const SECONDS: readonly number[] = [
  0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

const decision = ['allow', 'deny'] as const;

/**
 * All metrics. A label is a closed list or `null`; values of an open label come from configuration, catalog and issuer routes,
 * never from a request. Task, token, agent, host and path are never labels.
 */
export const metricTable = {
  decisions: counter(
    'remit_decisions_total',
    'Checks by decision, reason (none on an allow) and action of the catalog (none where it names none)',
    { decision, reason: null, action: null },
  ),
  checkDuration: histogram(
    'remit_check_duration_seconds',
    'Time from the decoded request to the answer, with the trace of the check as exemplar',
    {},
  ),
  stageDuration: histogram(
    'remit_check_stage_duration_seconds',
    'Time of a check by stage: gather reads identity, token, task and action; decide asks the policies; settle spends and records',
    { stage: ['gather', 'decide', 'settle'] },
  ),
  serverRefusals: counter(
    'remit_server_refusals_total',
    'Requests that the server denied without a check, by cause: too many at once, waited until too late, too many of one agent, deadline passed, check failed, not a message, too large',
    { cause: ['full', 'late', 'agent', 'deadline', 'failed', 'unreadable', 'too-large'] },
  ),
  checksInFlight: gauge('remit_checks_in_flight', 'Checks that wait for their answer', {}),
  issuerRequests: counter(
    'remit_issuer_requests_total',
    'Requests to the issuer by endpoint (none where there is no such path) and status (gone where the client left before the answer)',
    { endpoint: null, status: null },
  ),
  issuerDuration: histogram(
    'remit_issuer_request_duration_seconds',
    'Time from the headers of a request to its answer, with the wait for its turn',
    { endpoint: null },
  ),
  issuerInFlight: gauge('remit_issuer_requests_in_flight', 'Requests to the issuer that wait for their answer', {}),
  issuerRefusals: counter(
    'remit_issuer_refusals_total',
    'Requests that the issuer refused and connections that it cut, by bound: of all connections; of one client its connections, its requests at once, its rate and its unanswered requests on one connection; of one address its handshakes; waited too long for a turn',
    {
      bound: ['connections', 'client-connections', 'client-requests', 'client-rate', 'pipeline', 'handshakes', 'turn'],
    },
  ),
  tokenUses: counter('remit_token_uses_total', 'Uses of verified tokens, by their most telling class', {
    class: REUSE_CLASSES,
  }),
  proofsRefused: counter(
    'remit_proofs_refused_total',
    'Valid proofs of possession that the replay memory had no room for, by role and by whose share was used up',
    { role: ['checks', 'issuer'], bound: PROOF_BOUNDS },
  ),
  clockLead: gauge(
    'remit_clock_lead_seconds',
    'How far the wall clock is ahead of the time that tasks are ended by, or behind it where negative; 0 where they agree',
    {},
  ),
  tokensIssued: counter('remit_tokens_issued_total', 'Tokens whose issuance was recorded', {}),
  intents: counter('remit_intents_total', 'Declared intents that were recorded, by decision', { decision }),
  tasks: gauge('remit_tasks', 'Open tasks in the state file, by state', { state: ['active', 'suspended'] }),
  endedTasks: gauge('remit_ended_tasks', 'Ended tasks that are still in the state file', {}),
  prunedTasks: counter('remit_pruned_tasks_total', 'Ended tasks that were deleted from the state file', {}),
  pruneFailures: counter(
    'remit_prune_failures_total',
    'Steps of pruning that failed; each is tried again, and no decision waits for it',
    {},
  ),
  stateBytes: gauge('remit_state_bytes', 'Size of the state file on disk, without its log', {}),
  stateFree: gauge('remit_state_free_bytes', 'Space in the state file that is free for what is written next', {}),
  taskEnds: counter(
    'remit_task_ends_total',
    'Ended tasks, by the state they ended in and the kind of cause: the code of their record up to its dot',
    {
      state: ['completed', 'cancelled', 'revoked', 'expired'],
      cause: CAUSE_KINDS,
    },
  ),
  bindingViolations: counter(
    'remit_binding_violations_total',
    'Verified tokens that a workload presented which they were not issued to; each token once',
    {},
  ),
  peerCertificatesMissing: counter(
    'remit_peer_certificates_missing_total',
    'Checks of an identified caller without its certificate, where tokens are bound to certificates: Envoy sends none',
    {},
  ),
  sideWrites: counter(
    'remit_side_writes_total',
    'Writes that no decision waits for, by kind: failed ones are tried again, dropped ones found no room or time',
    { kind: ['secrets', 'revocation', 'idle'], result: ['written', 'failed', 'dropped'] },
  ),
  sideWritesQueued: gauge('remit_side_writes_queued', 'Writes that no decision waits for, and that wait', {}),
  signals: counter('remit_signals_total', 'Security events taken, once for each task they are about, by effect', {
    effect: ['revoke', 'suspend', 'risk', 'ask', 'ignore'],
  }),
  staticSecrets: counter(
    'remit_static_secrets_total',
    'Long-lived secrets seen in calls, by kind and decision of the call',
    {
      kind: null,
      decision,
    },
  ),
  outcomes: counter('remit_outcomes_total', 'Calls in the access log, by what became of them', {
    class: OUTCOME_CLASSES,
  }),
  bypasses: counter('remit_bypasses_total', 'Calls that reached an upstream without an allowed check', {}),
  failureModeAllowed: counter(
    'remit_failure_mode_allowed_total',
    'Calls that Envoy let pass because it had no answer: zero unless failure_mode_allow is on',
    {},
  ),
  deniedServed: counter('remit_denied_served_total', 'Denied calls that an upstream answered all the same', {}),
  accessLogsLost: counter('remit_access_logs_lost_total', 'Times that no access log was connected any more', {}),
  outcomesMissing: counter('remit_outcomes_missing_total', 'Allowed calls whose outcome was never reported', {}),
  stateWriteFailures: counter(
    'remit_state_write_failures_total',
    'Writes of the state file that failed: the disk is full, another process held the lock, or the file is broken',
    { code: ['full', 'busy', 'broken'] },
  ),
  diskFree: gauge('remit_disk_free_bytes', 'Free bytes of the disk under the state file and under the ledger', {
    of: ['state', 'ledger'],
  }),
  ledgerQueued: gauge('remit_ledger_queued', 'Records that wait to be written', {}),
  ledgerWriteDuration: histogram('remit_ledger_write_duration_seconds', 'Time of one group commit of records', {}),
  ledgerRecords: counter('remit_ledger_records_total', 'Records on disk, by kind', {
    kind: ['intent', 'token', 'use', 'outcome', 'finding', 'end', 'event', 'policy', 'checkpoint', 'pruned'],
  }),
  ledgerFailures: counter('remit_ledger_failures_total', 'Group commits that failed', {}),
  ledgerBytes: gauge('remit_ledger_bytes', 'Size of the ledger on disk', {}),
  ledgerRoom: gauge(
    'remit_ledger_room_bytes',
    'How far the ledger may still grow until its oldest segments are given up or the disk is full',
    {},
  ),
  ledgerRoomSeconds: gauge(
    'remit_ledger_room_seconds',
    'Time until then at the growth of the last 24 hours; missing for the first 10 minutes and while nothing grows',
    {},
  ),
  ledgerUnsigned: gauge(
    'remit_ledger_unsigned_seconds',
    'Time since the oldest record that no signed checkpoint covers; 0 where all are covered',
    {},
  ),
  policyInfo: gauge('remit_policy_info', 'The policy set in force by its hash; always 1', { hash: null }),
  policyGeneration: gauge(
    'remit_policy_generation',
    'How many policy sets have been in force since the start, the one in force included',
    {},
  ),
  policyAge: gauge('remit_policy_age_seconds', 'Time since the policy set in force was loaded', {}),
  policyUnconfirmed: gauge(
    'remit_policy_unconfirmed_seconds',
    'Time since the source of the policies last agreed with the set in force',
    {},
  ),
  policyTrials: counter('remit_policy_trials_total', 'Decisions that policies on trial were asked about too', {
    source: TRIAL_SOURCES,
  }),
  policyTrialDifferences: counter(
    'remit_policy_trial_differences_total',
    'Decisions that would have been others by a candidate set or a policy in shadow',
    { source: TRIAL_SOURCES, change: ['allow-to-deny', 'deny-to-allow'], action: null },
  ),
  policyTrialsSkipped: counter(
    'remit_policy_trials_skipped_total',
    'Decisions that policies on trial were not asked about, since too many waited',
    {},
  ),
  policyLoadFailures: counter(
    'remit_policy_load_failures_total',
    'Loads that left the last good policy set in force',
    {},
  ),
  cacheRequests: counter(
    'remit_cache_requests_total',
    'Questions to a cache, by result: bypass was not for it, since no policy could match, the engine had to be asked or no check came so far',
    { cache: ['decision', 'token'], result: CACHE_RESULTS },
  ),
  cacheEntries: gauge('remit_cache_entries', 'Answers and tokens that are kept', {
    cache: ['allow', 'deny', 'token'],
  }),
  policySlices: gauge(
    'remit_policy_slices',
    'Slices of the policy set in force: known ones that calls asked for, and those the engine holds parsed',
    { state: ['known', 'parsed'] },
  ),
  policiesParsed: gauge('remit_policies_parsed', 'Policies in the slices that the engine holds parsed', {}),
  keysAge: gauge('remit_keys_age_seconds', 'Time since the key server of an issuer last gave a good answer', {
    issuer: null,
  }),
  svidLifetime: gauge('remit_svid_lifetime_seconds', 'From the begin to the end of the validity of the own SVID', {}),
  svidExpiry: gauge('remit_svid_expiry_timestamp_seconds', 'When the own SVID ends, in Unix time', {}),
  dependencyUp: gauge('remit_dependency_up', 'Gates of readiness: 1 where it is met', { name: null }),
  spansDropped: counter('remit_spans_dropped_total', 'Spans that were not exported, by queue', { queue: QUEUES }),
  decisionLogDropped: counter(
    'remit_decision_log_dropped_total',
    'Lines of the decision log that were dropped because nobody read it fast enough',
    {},
  ),
  eventLoopDelay: gauge(
    'remit_event_loop_delay_seconds',
    'Delay of the event loop since the last scrape or push: median, 99th percentile and longest; its resolution is 10 ms',
    { stat: ['p50', 'p99', 'max'] },
  ),
  buildInfo: gauge('remit_build_info', 'Version of Remit and of its runtime; always 1', { version: null, node: null }),
  cpuSeconds: counter('process_cpu_seconds_total', 'User and system CPU time', {}),
  residentBytes: gauge('process_resident_memory_bytes', 'Resident memory', {}),
  startTime: gauge('process_start_time_seconds', 'When the process began, in Unix time', {}),
} as const;
