/** An investigation as text for people, not yet passed through `printable`. */
import { argsText } from '../../core/ledger/timeline-text.ts';
import type { UseRecord } from '../../core/ledger/record.ts';
import { fatesText } from '../../core/ledger/use-fates.ts';
import { countedLines } from '../explain/counted-lines.ts';
import { cureLines, whyLine, whyOf } from '../explain/why.ts';
import type { Investigation, ProvedPart } from './investigation.ts';
import type { PoliciesThen } from './policies-then.ts';
import type { ReadPolicySet } from './read-record.ts';
import { delegationLines, intentLines } from './task-text.ts';
import { areElsewhere } from './task-rest.ts';
import type { Sighting, TaskRest } from './task-rest.ts';
import type { Match, Matches } from './value-matches.ts';

const LABEL = 12;

/** Lines with a label in front of the first, indented by its width. */
const part = (label: string, lines: readonly string[]): readonly string[] =>
  lines.map((line, index) => `${(index === 0 ? label : '').padEnd(LABEL)}${line}`.trimEnd());

const instant = (ms: number): string => new Date(ms).toISOString();

/** A call in one line: `payments.read GET https://payments.acme.test/v1/payments/p-77 id="p-77"`. */
const callLine = ({ action, method, host, path, args }: UseRecord): string => {
  const call = host === '' ? 'a call that could not be read' : `${method} https://${host}${path}`;
  return `${action ?? '-'} ${call}${argsText(args)}`;
};

/** The matching calls, and how to select one of them. */
export function matchLines(value: string, { calls, isMore }: Matches): readonly string[] {
  const many = isMore
    ? `more than ${calls.length} calls, the newest of which are`
    : `${calls.length} calls, of several tasks:`;
  return [
    `\`${value}\` is in ${many}`,
    ...calls.map(({ use, hasPassed }) =>
      [instant(use.at), use.decisionId, use.agent ?? '-', decisionText(use, hasPassed), callLine(use)].join('  '),
    ),
    'name one by its decision id: remit why DECISION-ID; or narrow them with --argument, --since and --until',
  ];
}

const decisionText = (use: UseRecord, hasPassed: boolean): string =>
  hasPassed ? `allow, only observed: would be ${whyLine(whyOf(use))}` : whyLine(whyOf(use));

/** An investigation, part by part. @param matches all calls that the value names */
export function investigationLines(investigation: Investigation, matches: Matches): readonly string[] {
  const { call, chain, policies, inForce, granting, rest, proofs } = investigation;
  return [
    ...part('call', callLines(investigation, matches)),
    ...part('who', whoLines(investigation)),
    ...part('intent', intentLines(chain, granting)),
    ...chain.slice(1).flatMap((above) => part('delegated', delegationLines(above))),
    ...part('policy', policies === null ? ['no policy was asked'] : policyLines(policies, inForce)),
    ...(rest === null ? [] : part('what else', restLines(rest))),
    ...part('elsewhere', elsewhereLines(call, rest)),
    ...part('proof', proofLines(proofs)),
  ];
}

function callLines({ call, why, fate, outcome }: Investigation, { calls }: Matches): readonly string[] {
  const { use, hasPassed, placed } = call;
  const status = outcome?.value.status ?? null;
  const others = calls.filter(({ use: other }) => other.decisionId !== use.decisionId);
  return [
    `${instant(use.at)}  ${callLine(use)}`,
    `${decisionText(use, hasPassed)}${fate === null ? '' : `; ${FATES[fate]}${status === null ? '' : `, status ${status}`}`}`,
    ...cureLines(why).slice(0, 1),
    ...countedLines(use.limits),
    `decision ${use.decisionId}  trace ${use.traceId}  record ${placed.seq}`,
    ...others.map(
      (other) =>
        `also ${instant(other.use.at)}  ${other.use.decisionId}  ${decisionText(other.use, other.hasPassed)}  ${callLine(other.use)}`,
    ),
  ];
}

const FATES = {
  executed: 'executed: the upstream answered',
  unanswered: 'sent, and no answer came: it may have been executed',
  'not-sent': 'no upstream got it',
  withdrawn: 'taken back before anything was answered',
} as const;

function whoLines({ call: { use }, token }: Investigation): readonly string[] {
  const { agent, refusedCaller, credential, tokenUse } = use;
  const caller =
    agent === null
      ? refusedCaller === null
        ? 'a caller without an identity'
        : `a refused caller that showed \`${refusedCaller.id}\`${refusedCaller.address === null ? '' : ` from ${refusedCaller.address}`}: nobody vouches for it`
      : `${agent}, by its certificate`;
  const shown =
    credential === null ? 'with no credential that was verified' : `with a ${credential.replaceAll('-', ' ')}`;
  return [
    `${caller}, ${shown}${tokenUse === null ? '' : `, use ${tokenUse} of it`}`,
    ...(token === null
      ? []
      : [
          `token ${token.value.jtiDigest} of ${token.value.agent}, issued ${instant(token.value.at)} for ${token.value.audience}, until ${instant(token.value.expires)}`,
        ]),
  ];
}

function policyLines({ set, policies }: PoliciesThen, inForce: Investigation['inForce']): readonly string[] {
  const since =
    inForce === null
      ? 'no record says since when'
      : `in force since ${instant(inForce.value.at)}, ${originText(inForce.value.origin)}`;
  const none = policies.length === 0 ? ['none of its policies matched'] : [];
  return [
    `set ${set}, ${since}`,
    ...none,
    ...policies.flatMap(({ id, text, file, line }) =>
      text === null
        ? [`${id}: its text is not kept beside these ledgers: \`--policies FOLDER\` reads it in a folder with this set`]
        : [`${id}, ${file ?? '-'} line ${line ?? '-'}:`, ...text.split('\n').map((each) => `  ${each}`)],
    ),
  ];
}

function originText({ kind, folder, name, version, signers }: ReadPolicySet['origin']): string {
  if (kind !== 'bundle') return `of the folder ${folder ?? '-'}`;
  return `of the bundle ${name ?? '-'} ${version ?? '-'}, signed by ${signers?.join(', ') ?? '-'}`;
}

function restLines({ uses, others, more, events, parts, isCut }: TaskRest): readonly string[] {
  const rows = [
    ...others.map(({ value }) => ({
      at: value.at,
      line: `${instant(value.at)}  ${decisionText(value, false)}  ${callLine(value)}`,
    })),
    ...events.map(({ value }) => ({
      at: value.at,
      line: `${instant(value.at)}  ${value.event} by ${value.by}${value.note === '' ? '' : `: ${value.note}`}`,
    })),
    ...parts.map(({ value }) => ({
      at: value.at,
      line: `${instant(value.at)}  ${value.decision} of a part for ${value.agent ?? '-'}: task ${value.task ?? '-'}`,
    })),
  ].toSorted((a, b) => a.at - b.at);
  return [
    `${fatesText(uses)}; ${uses.denied} denied`,
    ...rows.map(({ line }) => line),
    ...(more === 0 ? [] : [`${more} more uses: remit task show`]),
    ...(isCut ? ['only the first records of the task were read'] : []),
  ];
}

function elsewhereLines({ use, placed }: Match, rest: TaskRest | null): readonly string[] {
  if (rest === null || rest.sightings.length === 0) return ['unknown: the call showed no task token'];
  const others = rest.sightings.filter((sighting) => areElsewhere(sighting, { agent: use.agent, log: placed.log }));
  if (rest.areSightingsCut) return [...others.map(sightingText), SIGHTINGS_CUT];
  if (others.length === 0) return ['nowhere: the token was used by this agent alone, from one node, at this place'];
  return others.map(sightingText);
}

const SIGHTINGS_CUT =
  'where else is not known: only the first uses of the token were read; all are found by remit ledger query --token DIGEST --kind use';

const sightingText = ({ caller, isVerified, log, allowed, denied, firstMs, lastMs, reuse }: Sighting): string => {
  const who = `${caller ?? 'a caller without an identity'}${isVerified || caller === null ? '' : ' (nobody vouches for it)'}`;
  const when = firstMs === lastMs ? instant(firstMs) : `${instant(firstMs)} to ${instant(lastMs)}`;
  return `by ${who} at \`${log}\`: ${allowed} allowed, ${denied} denied, ${when}; ${reuse.join(', ')}`;
};

function proofLines(proofs: readonly ProvedPart[]): readonly string[] {
  const logs = new Set(proofs.map(({ placed }) => placed.log));
  const [log] = logs;
  const only = logs.size === 1 && log !== undefined ? [`of \`${log}\`:`] : [];
  return [...only, ...proofs.map((proved) => proofLine(proved, only.length > 0))];
}

function proofLine({ what, placed: { seq, log }, proof }: ProvedPart, isOneLog: boolean): string {
  const record = `${what}: record ${seq}${isOneLog ? '' : ` of \`${log}\``}`;
  return proof.kind === 'proof'
    ? `${record}, under the signed checkpoint of ${proof.size} records`
    : `${record} ${UNPROVED[proof.kind]}`;
}

const UNPROVED = {
  pruned: 'was pruned: the log begins later',
  absent: 'cannot be proved: no ledger here names the key of its log',
  unsigned: 'is under no checkpoint yet: the next is due within 5 seconds while `remit serve` runs',
  damaged: 'IS NOT PROVED: it does not agree with the checkpoint that covers it',
} as const;
