import type { SourceFile } from '../../../core/policy/loading/source.ts';
import { isObject } from '../../../core/runtime/fields.ts';

type Named = Pick<SourceFile, 'file' | 'text'>;

/** The SPIFFE IDs of the agents that a policy set names: in policies, links of templates and entities. */
export const namedAgents = ({
  entities,
  policies,
}: {
  readonly entities: readonly Named[];
  readonly policies: readonly Named[];
}): readonly string[] => [...new Set([...policies, ...entities].flatMap(agentsIn))];

/** In policies an agent is `Remit::Agent::"ID"`, with space between the parts as Cedar takes it. */
const AGENT = /\bAgent\s{0,20}::\s{0,20}"([^"\\]{1,2048})"/g;

const agentsIn = ({ file, text }: Named): readonly string[] =>
  file.endsWith('.json') ? inJson(parsed(text)) : [...text.matchAll(AGENT)].map(([, id = '']) => id);

const MAX_DEPTH = 40;

/** In links and entities an agent is an object with its type and its id, in any order. */
function inJson(value: unknown, depth = 0): readonly string[] {
  if (depth > MAX_DEPTH || typeof value !== 'object' || value === null) return [];
  const own =
    isObject(value) && value['type'] === 'Remit::Agent' && typeof value['id'] === 'string' ? [value['id']] : [];
  return own.concat(Object.values(value).flatMap((one) => inJson(one, depth + 1)));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
