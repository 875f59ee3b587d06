import { counter, gauge } from './metric-entry.ts';

/** The metrics of calls that are only observed: part of `metricTable`. */
export const observeMetricTable = {
  observedDecisions: counter(
    'remit_observed_decisions_total',
    'Checks of calls that are only observed, by what enforcing would have answered and its reason (none for an allow)',
    { would: ['allow', 'deny'], reason: null },
  ),
  observedShapes: counter(
    'remit_observed_new_shapes_total',
    'Shapes of observed calls that the catalog does not know, each once in the life of a process: host, method and names; at most 4,096',
    {},
  ),
  observeEntries: gauge(
    'remit_observe_entries',
    'Entries of the policy set in force whose calls are only observed and have not ended',
    {},
  ),
  observeUntil: gauge(
    'remit_observe_entry_until_timestamp_seconds',
    'End of an entry whose calls are only observed, by its id, in Unix time: from then on they are enforced; no sample of an entry that has ended',
    { entry: null },
  ),
  observedFaults: counter(
    'remit_observed_faults_total',
    'Calls that passed because they are only observed, and that Remit could not decide or record, by the reason',
    { reason: null },
  ),
  observeEmergencies: gauge(
    'remit_observe_emergencies',
    'Emergencies in force (remit observe start): their calls are only observed',
    {},
  ),
} as const;
