/** The observations of an assessment: what was found of a control, a set, an exception. */
import { fatesText } from '../../core/ledger/use-fates.ts';
import type { DecidingPolicy } from './class-count.ts';
import type { AllowedOf } from './control-state.ts';
import type { RecordRef } from './counted.ts';
import { lineText } from './document/block.ts';
import { verdictText } from './document/ledger-sections.ts';
import { resultLines } from './document/result-lines.ts';
import type { HeldException } from './held-exceptions.ts';
import { type IdOf, lineOf, prop, tokenOf } from './oscal-values.ts';
import { type ControlEvidence, type EvidenceReport, isoOf, type PolicySetSeen, type SetAssurance } from './report.ts';

/** Most properties of one kind; the JSON report has all. */
const MAX_PROPS = 50;

/** How whole the log of a sidecar is. */
export const logObservation = (
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
  readonly id: IdOf;
  readonly madeAt: string;
}

/** The records of a control. */
export const controlObservation = (control: ControlEvidence, { proved, id, madeAt }: Observing) => ({
  uuid: id(control.id),
  title: `${control.id}: ${control.title}`,
  description: descriptionOf(control),
  props: [
    prop('control-id', tokenOf(control.id)),
    prop('coverage', control.coverage),
    prop('state', control.state),
    ...control.enforced.map(({ id: evidence, count }) => prop(`records-${evidence}`, String(count))),
    ...control.exceptions.map(({ code, count }) => prop('exception', `${code}: ${count}`)),
    ...control.gaps.map(({ code, text }) => prop('gap', `${code}: ${text}`)),
    ...(control.allowed === null ? [] : allowedProps(control.allowed)),
    ...(control.uses === null ? [] : [prop('calls', fatesText(control.uses))]),
    ...control.policies.slice(0, MAX_PROPS).map((policy) => prop('policy', policyText(policy))),
    ...control.assurance.slice(0, MAX_PROPS).map((of) => prop('assurance', assuranceText(of))),
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

const allowedProps = ({ allowed, unrestricted, unknown }: AllowedOf) => [
  prop('allowed', String(allowed)),
  prop('allowed-unrestricted', String(unrestricted)),
  prop('allowed-by-unknown-policies', String(unknown)),
];

const policyText = ({ id, set, allowed, count, isOpen, denied }: DecidingPolicy): string => {
  const reach = isOpen === null ? '; its text is not here' : isOpen ? '; permits everything' : '';
  const actions = denied.map((of) => `${of.action} ${of.count}`).join(', ');
  return `${id} of ${set}: decided ${count}, allowed ${allowed}${actions === '' ? '' : `, denied ${actions}`}${reach}`;
};

const assuranceText = ({ set, invariants, coverage, survived }: SetAssurance): string => {
  const proved =
    invariants === null
      ? 'no analysis'
      : `${invariants.proved} proved, ${invariants.refuted} refuted, ${invariants.undecided} undecided`;
  return `${set}: ${proved}; clause coverage ${coverage === null ? 'not known' : `${coverage} %`}; surviving mutants ${survived ?? 'not known'}`;
};

/** The results of analyses and tests of a set, each as it was collected. */
export const resultObservations = ({ hash, results }: PolicySetSeen, id: IdOf): readonly object[] =>
  results.map((result, index) => ({
    uuid: id(`result ${hash} ${index}`),
    title: result.kind === 'analysis' ? 'Analysed invariants of a policy set' : 'Tests of a policy set',
    description: lineOf(
      resultLines([result])
        .filter((_line, at) => at === (result.kind === 'analysis' ? 0 : 1))
        .map(lineText)
        .join('; '),
    ),
    props: [prop('policy-set', hash), prop('made', result.from === null ? 'for this report' : 'as a file says')],
    methods: ['TEST'],
    collected: result.at,
  }));

/** An exception with its owner; it expires when the exception ends. */
export const exceptionObservation = (
  { kind, id: name, about, owner, because, untilMs, isOver, calls }: HeldException,
  { index, id, madeAt }: { readonly index: number; readonly id: IdOf; readonly madeAt: string },
): object => ({
  uuid: id(`exception ${index}`),
  title: lineOf(`Exception: ${kind} ${name}`),
  description: lineOf(`${about}. Because: ${because ?? 'no reason given'}`),
  props: [
    prop('owner', owner ?? 'none named'),
    prop('end', untilMs === null ? 'none known' : `${isoOf(untilMs)}${isOver ? ', over' : ''}`),
    ...(calls === null ? [] : [prop('calls-let-through', String(calls))]),
  ],
  methods: ['EXAMINE'],
  collected: madeAt,
  ...(untilMs === null ? {} : { expires: isoOf(untilMs) }),
});

/** The acts of people in one observation; none if there are no acts. */
export const oversightObservations = (
  { oversight }: EvidenceReport,
  { id, madeAt }: { readonly id: IdOf; readonly madeAt: string },
): readonly object[] =>
  oversight.length === 0
    ? []
    : [
        {
          uuid: id('oversight'),
          title: 'Oversight by people',
          description:
            'Acts of operators, and keys that signed policy sets. A SPIFFE ID or a key may be that of a machine.',
          props: oversight
            .slice(0, MAX_PROPS)
            .map(({ act, name, count }) => prop('act', `${act}: ${count}, by ${name}`)),
          methods: ['EXAMINE'],
          collected: madeAt,
        },
      ];
