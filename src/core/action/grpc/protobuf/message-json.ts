import { createFileRegistry, fromJson, toBinary, type FileRegistry, type JsonValue } from '@bufbuild/protobuf';
import type { Problem } from '../../../runtime/problem.ts';
import type { DescriptorSet, MessageType } from './descriptor-set.ts';

const MAX_DEPTH = 100;

/**
 * Encodes a message from its JSON form as gRPC clients do: fields in the order of their numbers, packed numbers, default values
 * omitted for fields with implicit presence. A problem, as a clause, for an unknown field, two members of a `oneof`, a value of
 * the wrong type or range, an integer that a double cannot hold exactly, and a set that lacks an imported file. Never throws.
 *
 * @see https://protobuf.dev/programming-guides/json
 */
export function messageFromJson({ set, name }: MessageType, value: unknown): Uint8Array | Problem {
  const unfit = unfitProblem(value, MAX_DEPTH);
  if (unfit !== null) return { problem: unfit };
  try {
    const registry = registryOf(set);
    const type = registry.getMessage(name);
    if (type === undefined) return { problem: `is of \`${name}\`, which the descriptor set does not have` };
    return toBinary(type, fromJson(type, value as JsonValue, { registry, recursionLimit: MAX_DEPTH }));
  } catch (error) {
    const words = error instanceof Error ? error.message : 'unknown error';
    return { problem: `does not fit: ${words.replace(/^cannot decode (.*?) from JSON: /, '$1: ')}` };
  }
}

const registries = new WeakMap<DescriptorSet, FileRegistry>();

/** The types of a set. Throws if the set lacks an imported file. */
function registryOf(set: DescriptorSet): FileRegistry {
  const registry = registries.get(set) ?? createFileRegistry(set.files);
  registries.set(set, registry);
  return registry;
}

/** What the library would misread: integers that are not exact, and nesting without a bound. */
function unfitProblem(value: unknown, depthLeft: number): string | null {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
    return `has the number \`${value}\`, which is beyond ±(2^53 - 1): write it as text`;
  if (typeof value !== 'object' || value === null) return null;
  if (depthLeft === 0) return `nests deeper than ${MAX_DEPTH}`;
  for (const member of Object.values(value)) {
    const problem = unfitProblem(member, depthLeft - 1);
    if (problem !== null) return problem;
  }
  return null;
}
