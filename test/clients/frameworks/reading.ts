import type { Handed, ToolCall } from '../scripted-model.ts';
import { ADVICE, FORMS, type Form } from './forms-domain.ts';

/** The calls of each job. One file may be shared once, and none called `trip` deleted. @param job a name that says whose call it is */
export const callsOf = (job: string): readonly ToolCall[] => [
  callOf('read_file', job),
  callOf('share_file', job),
  ...DENIED.map(({ call }) => call),
  callOf('read_file', job),
];

/** With all arguments: smolagents refuses a call without one, also if the schema does not require it. */
const callOf = (tool: string, name: string): ToolCall => ({ tool, args: { name, days: 1 } });

/** The denied calls among them, with what a model has to read of each. */
const deletion = callOf('delete_file', 'trip');
const DENIED: readonly Denied[] = [
  { call: callOf('share_file', 'trip'), reason: 'task.exhausted', message: '1 of 1' },
  { call: deletion, reason: 'policy.forbidden', message: ADVICE },
  { call: deletion, reason: 'policy.forbidden', message: ADVICE },
];
interface Denied {
  readonly call: ToolCall;
  readonly reason: string;
  /** Words of the message. */
  readonly message: string;
}
const FIRST_DENIED = 2;
const ALLOWED = [/read_file was run/, /share_file was run/] as const;
/** All of the text of a denial. */
const TEXT = 'text';
/** The message of a denial, without its reason. */
const MESSAGE = 'message';

/** Whether the allowed calls before the denied ones were answered by the tools. */
export const areAllowed = (handed: readonly Handed[]): boolean =>
  ALLOWED.every((words, index) => words.test(handed[index] ?? ''));

/**
 * What the model of a job reads of denials, in the words of the page: the whole text, the message alone, or what it reads instead; and at which
 * denial its run ends, unless it goes on.
 */
export function readingOf(handed: readonly Handed[]): string {
  const texts = handed.slice(FIRST_DENIED, FIRST_DENIED + DENIED.length).filter((text) => text !== null);
  const readings = texts.map((text, index) => readOf(text, DENIED[index]));
  const read = [...new Set(readings)].join(', then ');
  if (texts.length === DENIED.length && ALLOWED[0].test(handed.at(-1) ?? '')) return read;
  if (texts.length === DENIED.length) return `${read}; ends after denial ${DENIED.length}`;
  return [...(texts.length === 0 ? [] : [read]), `ends at denial ${texts.length + 1}`].join('; ');
}

function readOf(text: string, denied: Denied | undefined): string {
  if (denied === undefined || !text.includes(denied.message)) return `\`${shown(text)}\``;
  return text.includes(denied.reason) && text.includes('ask_person') ? TEXT : MESSAGE;
}

/** A text that hides a denial, for a cell of a table. */
const shown = (text: string): string => text.trim().replaceAll(/\s+/g, ' ').replaceAll('|', '/').slice(0, 80);

/** The form of denials to choose for a client: the first by which its model reads all of each of them, and goes on. */
export const formFor = (readings: ReadonlyMap<Form, string>): string =>
  `\`${FORMS.find((form) => readings.get(form) === TEXT) ?? 'none'}\``;
