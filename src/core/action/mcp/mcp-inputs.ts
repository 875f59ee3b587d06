import { isProblem } from '../../runtime/problem.ts';
import { argumentFromJson } from '../arguments/argument.ts';
import { otherArgument, unfitArgument } from '../arguments/argument-refusal.ts';
import type { ArgumentRefusal } from '../arguments/argument-refusal.ts';
import type { CarriedArgument } from '../catalog/catalog-arguments.ts';
import type { Carries, InputSpec } from '../catalog/catalog-carries.ts';
import { objectMembers } from '../json-rpc.ts';
import { mcpAnswerFrom } from './mcp-answer.ts';
import type { McpAnswer } from './mcp-answer.ts';
import { withValue, withValues } from '../arguments/readings.ts';
import type { FurtherValues } from '../arguments/readings.ts';

/** The arguments that a message carries, or why they are refused. */
type Carried = { readonly values: FurtherValues } | ArgumentRefusal;

const NOTHING: FurtherValues = new Map();

/**
 * The arguments in `inputResponses`, as the catalog names them. Refuses an answer to a question that it does not name, a member
 * of an answer that it does not name, and a value of another type. A question that the client declined or cancelled brings no
 * arguments.
 */
export function inputValues(responses: ReadonlyMap<string, unknown>, { inputs }: Pick<Carries, 'inputs'>): Carried {
  let values = NOTHING;
  for (const [key, sent] of responses) {
    const input = inputs.get(key);
    if (input === undefined) return otherArgument(`/inputResponses/${key}`);
    const answer = mcpAnswerFrom(sent);
    if (isProblem(answer)) return { problem: `the answer \`${key}\` ${answer.problem}` };
    const read = answerValues(answer, input, `/inputResponses/${key}/content`);
    if ('problem' in read) return read;
    values = withValues(values, read.values);
  }
  return { values };
}

/** The arguments in one answer. @param at the pointer of its content, for messages to the caller */
export function answerValues(answer: McpAnswer, { kind, args }: InputSpec, at: string): Carried {
  if (answer.kind === 'nothing') return { values: NOTHING };
  if (answer.kind !== kind) return { problem: `the answer is not of the kind \`${kind}\`` };
  const [first] = args;
  if (answer.kind === 'content') return contentValues(answer.content, args, at);
  if (first === undefined) return { values: NOTHING };
  return withArgument(NOTHING, first, answer.kind === 'text' ? answer.text : answer.uris);
}

function contentValues(content: ReadonlyMap<string, unknown>, args: readonly CarriedArgument[], at: string): Carried {
  const known = new Map(args.map((arg) => [arg.member, arg]));
  let values = NOTHING;
  for (const [member, value] of content) {
    const arg = known.get(member);
    if (arg === undefined) return otherArgument(`${at}/${member}`);
    if (value === null) continue;
    const read = withArgument(values, arg, value);
    if ('problem' in read) return read;
    values = read.values;
  }
  return { values };
}

/** The arguments among the keys of a `_meta`, as the catalog names them. */
export function metaValues(meta: unknown, args: readonly CarriedArgument[]): Carried {
  const sent = objectMembers(meta);
  let values = NOTHING;
  for (const arg of args) {
    const value = sent?.get(arg.key);
    if (value === undefined || value === null) continue;
    const read = withArgument(values, arg, value);
    if ('problem' in read) return read;
    values = read.values;
  }
  return { values };
}

function withArgument(values: FurtherValues, arg: CarriedArgument, sent: unknown): Carried {
  const value = argumentFromJson(arg, sent);
  return isProblem(value) ? unfitArgument(arg, value) : { values: withValue(values, arg.name, value) };
}
