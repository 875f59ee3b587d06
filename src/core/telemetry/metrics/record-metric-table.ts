import { counter, gauge, histogram } from './metric-entry.ts';

/** The metrics of the disks, the ledger and received records: part of `metricTable`. */
export const recordMetricTable = {
  stateWriteFailures: counter(
    'remit_state_write_failures_total',
    'Failed writes of the state file by code: disk full, lock held by another process, or file broken',
    { code: ['full', 'busy', 'broken'] },
  ),
  diskFree: gauge('remit_disk_free_bytes', 'Free bytes on the disk of the state file and of the ledger', {
    of: ['state', 'ledger'],
  }),
  ledgerQueued: gauge('remit_ledger_queued', 'Records in the queue of the ledger', {}),
  ledgerWriteDuration: histogram('remit_ledger_write_duration_seconds', 'Duration of one group commit of records', {}),
  ledgerRecords: counter('remit_ledger_records_total', 'Records on disk, by kind', {
    kind: [
      'intent',
      'token',
      'use',
      'settled',
      'outcome',
      'finding',
      'end',
      'event',
      'policy',
      'checkpoint',
      'pruned',
      'emitter',
    ],
  }),
  recordsMissing: counter(
    'remit_records_missing_total',
    'Records of the database that the ledger of an authority will never have, since enough others had them before it was back',
    {},
  ),
  recordsWaiting: gauge(
    'remit_records_waiting_seconds',
    'Age of the oldest record in the database that too few ledgers of authorities have; 0 if there is none',
    {},
  ),
  ledgerFailures: counter('remit_ledger_failures_total', 'Failed group commits', {}),
  ledgerBytes: gauge('remit_ledger_bytes', 'Size of the ledger on disk', {}),
  ledgerRoom: gauge(
    'remit_ledger_room_bytes',
    'Bytes the ledger can still grow before its oldest segments are deleted or the disk is full',
    {},
  ),
  ledgerRoomSeconds: gauge(
    'remit_ledger_room_seconds',
    'Time until remit_ledger_room_bytes is used up, at the growth of the last 24 hours; missing in the first 10 minutes and without growth',
    {},
  ),
  ledgerUnsigned: gauge(
    'remit_ledger_unsigned_seconds',
    'Age of the oldest record not covered by a signed checkpoint; 0 if all are covered',
    {},
  ),
  ledgerIndex: gauge(
    'remit_ledger_index_records',
    'Records that the index of the ledger, or of received records, has (indexed) or does not have yet (left), so that each search reads them; missing in the first minute and without `ledger.index`',
    { of: ['ledger', 'received'], state: ['indexed', 'left'] },
  ),
  ledgerWitnessBehind: gauge(
    'remit_ledger_witness_behind_seconds',
    'Since when the ledger has a checkpoint that a witness has not cosigned, by the name of its key; 0 if it has cosigned the last',
    { witness: null },
  ),
  ledgerWitnessContradicts: gauge(
    'remit_ledger_witness_contradicts',
    'Whether a witness has cosigned other or more records than this ledger has, by the name of its key: the ledger was rewritten, or put back from a copy',
    { witness: null },
  ),
  ledgerUnacknowledged: gauge(
    'remit_ledger_unacknowledged',
    'Records of a sidecar that no authority has acknowledged; at 4,096, or 65,536 on the host of its authority, it denies with ledger.unavailable',
    {},
  ),
  emitterEvents: counter(
    'remit_emitter_events_total',
    'What became of the logs of sidecars that an authority receives, by event',
    { event: ['joined', 'checkpoint', 'left', 'lost', 'refused', 'taken', 'pruned'] },
  ),
  receivedFailures: counter(
    'remit_received_failures_total',
    'Attempts of an authority to keep records of sidecars, or to delete old records, that failed',
    { what: ['keep', 'delete'] },
  ),
  receivedLogs: gauge('remit_received_logs', 'Logs of sidecars that go on at an authority', {}),
  receivedWaiting: gauge(
    'remit_received_waiting_bytes',
    'Bytes of records of sidecars that an authority has received and not yet kept',
    {},
  ),
} as const;
