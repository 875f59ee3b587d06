import { hash } from 'node:crypto';
import { printable } from '../../core/ledger/timeline-text.ts';
import type { RecordRef } from './counted.ts';
import { verdictText } from './document/ledger-sections.ts';
import type { ControlEvidence, EvidenceReport } from './report.ts';
import { withoutEnd } from '../../core/runtime/without-end.ts';

const NAMESPACE = 'https://remit.invalid/ns/oscal';
const OSCAL_VERSION = '1.2.3';

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

/** The UUID of a part of the report by its name: the same for the same report. */
type IdOf = (name: string) => string;

/** What a reader can check: each record with its proof, and the texts of the policy sets. */
const resourcesOf = ({ sample, policySets }: EvidenceReport, id: IdOf): readonly object[] => [
  {
    uuid: id('plan'),
    title: 'No assessment plan',
    description: 'This evidence was collected without an OSCAL assessment plan.',
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

/** The one result of the report: how whole the ledger and the logs of sidecars are, and what they show for each control. */
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
      ...evidenced.map((control) => observationOf(control, { proved, id, madeAt })),
    ],
  };
}

const logObservation = (
  { origin, id: sidecar, verdict, missing, state }: NonNullable<EvidenceReport['received']>[number],
  id: IdOf,
  madeAt: string,
): object => ({
  uuid: id(`log ${origin}`),
  title: `Integrity of the log of a sidecar`,
  description: lineOf(`${origin} of ${sidecar}: ${verdictText(verdict)}; ${missing} records are missing`),
  props: [prop('log-origin', origin), prop('log-state', state), prop('log-missing', String(missing))],
  methods: ['EXAMINE'],
  collected: madeAt,
});

interface Observing {
  readonly proved: ReadonlySet<RecordRef>;
  readonly id: (name: string) => string;
  readonly madeAt: string;
}

const observationOf = (control: ControlEvidence, { proved, id, madeAt }: Observing) => ({
  uuid: id(control.id),
  title: `${control.id}: ${control.title}`,
  description: descriptionOf(control),
  props: [
    prop('control-id', tokenOf(control.id)),
    prop('coverage', control.coverage),
    prop('state', control.state),
    ...control.enforced.map(({ id: evidence, count }) => prop(`records-${evidence}`, String(count))),
    ...control.exceptions.map(({ code, count }) => prop('exception', `${code}: ${count}`)),
    ...control.aliases.map((alias) => prop('alias', `${alias.id} (${alias.source})`)),
  ],
  methods: ['EXAMINE'],
  types: ['control-objective'],
  ...relevant(control, { proved, id }),
  collected: madeAt,
  remarks: `Limit: ${control.limit}`,
});

const descriptionOf = ({ enforced, first, last }: ControlEvidence): string =>
  [
    ...enforced.map(({ title, count, shows }) => `${title} (records: ${count}): ${shows}.`),
    ...(first === null || last === null ? [] : [`First ${first.at}, last ${last.at}.`]),
  ].join(' ');

/** The sampled records of a control that have a proof. */
function relevant(
  { sample }: ControlEvidence,
  { proved, id }: Pick<Observing, 'proved' | 'id'>,
): { readonly 'relevant-evidence'?: readonly unknown[] } {
  const found = sample.filter((ref) => proved.has(ref));
  if (found.length === 0) return {};
  return {
    'relevant-evidence': found.map((ref) => ({
      href: `#${id(`record ${ref}`)}`,
      description: `Record ${ref}, drawn at random, with its proof of inclusion.`,
    })),
  };
}

const prop = (name: string, value: string) => ({ name, ns: NAMESPACE, value: lineOf(value) });

const base64Of = (filename: string, text: string) => ({
  filename: tokenOf(filename),
  'media-type': 'text/plain',
  value: Buffer.from(text, 'utf8').toString('base64'),
});

/** A trimmed line, as OSCAL requires of strings; `-` if it is empty. */
const lineOf = (text: string): string => printable(text).trim() || '-';

/** A name as an OSCAL token; a control of NIST SP 800-53 as in NIST's own catalog, such as `ac-6.9`. */
export function tokenOf(id: string): string {
  const nist = /^([A-Z]{2}-\d+)(?:\((\d+)\))?$/.exec(id);
  if (nist !== null) return `${nist[1]?.toLowerCase() ?? ''}${nist[2] === undefined ? '' : `.${nist[2]}`}`;
  const token = withoutEnd(id.replaceAll(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^-+/, ''), '-');
  return /^[\p{L}_]/u.test(token) ? token : `_${token}`;
}

/** A deterministic UUID of a name: version 5 by its form, but over SHA-256. */
function uuidOf(name: string): string {
  const hex = hash('sha256', `${NAMESPACE}\n${name}`, 'hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
