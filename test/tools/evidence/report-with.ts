import type { Sound } from '../../../src/core/ledger/proof/verdict.ts';
import { none } from '../../../src/tools/evidence/counted.ts';
import type { ControlEvidence, EvidenceReport } from '../../../src/tools/evidence/report.ts';

/** The verdict on an empty log. */
export const soundWith = (change: Partial<Sound> = {}): Sound => ({
  kind: 'sound',
  size: 0,
  pruned: 0,
  prunedBy: null,
  anchored: null,
  signed: null,
  bare: null,
  unchecked: 0,
  remarks: [],
  remarkCount: 0,
  ...change,
});

/** A control of a report, evidenced by one class. */
export const controlWith = (change: Partial<ControlEvidence> = {}): ControlEvidence => ({
  id: 'AC-3',
  title: 'Access Enforcement',
  aliases: [],
  coverage: 'enforces',
  limit: 'only calls through Envoy',
  state: 'evidenced',
  gaps: [],
  policies: [],
  allowed: { allowed: 1, unrestricted: 0, unknown: 0 },
  uses: null,
  assurance: [],
  enforced: [{ id: 'E3', title: 'calls allowed', shows: 'each was decided', count: 1 }],
  exceptions: [],
  first: null,
  last: null,
  sample: [],
  ...change,
});

/** The report of an empty period of a sound ledger. */
export const reportWith = (change: Partial<EvidenceReport> = {}): EvidenceReport => ({
  framework: { id: 'csf', title: 'CSF', version: '2.0', source: 'the publication', date: '2024-02-26' },
  from: '2026-01-01T00:00:00.000Z',
  to: '2026-01-02T00:00:00.000Z',
  madeAt: '2026-01-03T00:00:00.000Z',
  madeBy: 'auditor',
  ledger: {
    folder: '/ledger',
    origin: 'remit.acme.test/main/0',
    verdict: soundWith(),
    leftOut: 0,
    anchors: [],
    head: null,
    keyId: 'key',
  },
  received: null,
  records: none,
  observed: none,
  classes: [],
  controls: [],
  policySets: [],
  oversight: [],
  heldExceptions: [],
  actors: [],
  agents: [],
  actions: [],
  args: [],
  uses: { allowed: 0, executed: 0, unanswered: 0, notSent: 0, withdrawn: 0, unknown: 0 },
  seed: { text: 'seed', isGiven: true },
  sample: [],
  limits: [],
  ...change,
});
