import { hash } from 'node:crypto';
import { verdictText } from './document/ledger-sections.ts';
import {
  controlObservation,
  exceptionObservation,
  logObservation,
  oversightObservations,
  resultObservations,
} from './oscal-observations.ts';
import { type IdOf, lineOf, OSCAL_NAMESPACE, prop, tokenOf } from './oscal-values.ts';
import type { EvidenceReport } from './report.ts';

const OSCAL_VERSION = '1.2.3';
const NO_PLAN = 'This evidence was collected without an OSCAL assessment plan.';

/**
 * A report as OSCAL assessment results: an observation for each control and for the ledger, with the sample's proofs and the
 * policy texts as resources. It has no findings, because a finding states `satisfied` or not, which an assessor decides.
 *
 * @see NIST OSCAL 1.2.3, assessment results
 */
export function oscalOf(report: EvidenceReport): unknown {
  const { framework, from, to, madeAt, ledger, limits } = report;
  const id: IdOf = (name) => uuidOf(`${ledger.origin}\n${framework.id}\n${from}\n${to}\n${name}`);
  return {
    'assessment-results': {
      uuid: id('document'),
      metadata: {
        title: `Evidence of a Remit ledger for ${framework.title} ${framework.version}`,
        'last-modified': madeAt,
        version: madeAt,
        'oscal-version': OSCAL_VERSION,
        remarks: limits.join('\n\n'),
      },
      'import-ap': { href: `#${id('plan')}`, remarks: 'There is no assessment plan.' },
      results: [resultOf(report, id)],
      'back-matter': { resources: resourcesOf(report, id) },
    },
  };
}

/** What a reader can check: each record with its proof, and the texts of the policy sets. */
const resourcesOf = ({ sample, policySets }: EvidenceReport, id: IdOf): readonly object[] => [
  {
    uuid: id('plan'),
    title: 'No assessment plan',
    description: NO_PLAN,
    base64: base64Of('no-assessment-plan.txt', `${NO_PLAN}\n`),
  },
  ...sample
    .filter(({ proof }) => proof !== null)
    .map(({ ref, what, proof }) => ({
      uuid: id(`record ${ref}`),
      title: `Record ${ref}, with its proof of inclusion`,
      description: lineOf(what),
      base64: base64Of(`record-${ref}.tlog-proof`, proof ?? ''),
    })),
  ...policySets.flatMap(({ hash: set, files }) =>
    files.flatMap(({ name, text }) =>
      text === null || text === ''
        ? []
        : [
            {
              uuid: id(`policy ${set} ${name}`),
              title: `${lineOf(name)} of the policy set ${lineOf(set)}`,
              base64: base64Of(name, text),
            },
          ],
    ),
  ),
];

/** The only result of the report: how whole the ledger and the logs of sidecars are, and what they show for each control. */
function resultOf(report: EvidenceReport, id: IdOf): object {
  const { framework, from, to, madeAt, madeBy, ledger, received, controls, sample } = report;
  const evidenced = controls.filter(({ coverage }) => coverage !== 'none');
  const proved = new Set(sample.flatMap(({ ref, proof }) => (proof === null ? [] : [ref])));
  const anchors = ledger.anchors
    .slice(-1)
    .map(({ size, receivedAt }) =>
      prop('last-anchor', `${size} records, received ${receivedAt ?? 'at an unknown time'}`),
    );
  return {
    uuid: id('result'),
    title: `Records of ${from} to ${to}`,
    description: `Evidence for ${framework.source}. It states no conformity.`,
    start: from,
    end: to,
    props: [
      prop('ledger-origin', ledger.origin),
      prop('ledger-verdict', verdictText(ledger.verdict)),
      prop('made-by', madeBy),
      prop('sample-seed', report.seed.text),
      ...(ledger.leftOut === 0 ? [] : [prop('records-left-out', String(ledger.leftOut))]),
      ...anchors,
    ],
    'reviewed-controls': {
      'control-selections': [
        { 'include-controls': evidenced.map((control) => ({ 'control-id': tokenOf(control.id) })) },
      ],
    },
    observations: [
      {
        uuid: id('ledger'),
        title: 'Integrity of the ledger',
        description: verdictText(ledger.verdict),
        methods: ['EXAMINE'],
        collected: madeAt,
      },
      ...(received ?? []).map((log) => logObservation(log, id, madeAt)),
      ...evidenced.map((control) => controlObservation(control, { proved, id, madeAt })),
      ...report.policySets.flatMap((set) => resultObservations(set, id)),
      ...report.heldExceptions.map((held, index) => exceptionObservation(held, { index, id, madeAt })),
      ...oversightObservations(report, { id, madeAt }),
    ],
  };
}

const base64Of = (filename: string, text: string) => ({
  filename: tokenOf(filename),
  'media-type': 'text/plain',
  value: Buffer.from(text, 'utf8').toString('base64'),
});

/** A deterministic UUID of a name: version 5 by its form, but over SHA-256. */
function uuidOf(name: string): string {
  const hex = hash('sha256', `${OSCAL_NAMESPACE}\n${name}`, 'hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
