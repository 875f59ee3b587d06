import { parameterTypeFrom } from './parameter-type.ts';
import type { ParameterType } from './parameter-type.ts';

/** A segment of a path template: literal text, or a parameter that matches one segment of its type. */
export type TemplateSegment =
  { readonly literal: string } | { readonly parameter: string; readonly type: ParameterType };

/** A parsed path template such as `/v1/payments/{id}`. */
export interface PathTemplate {
  /** Without parameter types, so that adding a type does not change the endpoint that policies name. */
  readonly text: string;
  readonly segments: readonly TemplateSegment[];
  /** Parameter names in order, without duplicates. */
  readonly parameters: readonly string[];
}

const MAX_TEMPLATE_LENGTH = 1024;
const MAX_SEGMENTS = 32;
const LITERAL = /^[A-Za-z0-9\-._~!$&'()*+,;=:@]+$/;
const PARAMETER = /^\{([A-Za-z][A-Za-z0-9_-]{0,63})(?::(.+))?\}$/;

/**
 * Parses a path template: `/`, then segments that are literal text or a single `{parameter}`. A parameter may have a type (`{id:uuid}`,
 * see `parameterTypeFrom`). No wildcards, percent-encoding or dot segments; at most 32 segments and 1,024 characters. A
 * trailing `/` must match exactly.
 */
export function pathTemplateFrom(text: string): PathTemplate | { readonly problem: string } {
  if (!text.startsWith('/')) return { problem: 'a path template must begin with `/`' };
  if (text.length > MAX_TEMPLATE_LENGTH)
    return { problem: `a path template has at most ${MAX_TEMPLATE_LENGTH} characters` };
  const pieces = text.slice(1).split('/');
  if (pieces.length > MAX_SEGMENTS) return { problem: `a path template has at most ${MAX_SEGMENTS} segments` };
  const segments: TemplateSegment[] = [];
  const parameters: string[] = [];
  for (const [index, piece] of pieces.entries()) {
    const segment = segmentFrom(piece, index === pieces.length - 1);
    if ('problem' in segment) return segment;
    if ('parameter' in segment) {
      if (parameters.includes(segment.parameter))
        return { problem: `the parameter \`${segment.parameter}\` appears twice` };
      parameters.push(segment.parameter);
    }
    segments.push(segment);
  }
  const plain = segments.map((segment) => ('literal' in segment ? segment.literal : `{${segment.parameter}}`));
  return { text: `/${plain.join('/')}`, segments, parameters };
}

function segmentFrom(piece: string, isLast: boolean): TemplateSegment | { readonly problem: string } {
  if (piece === '') return isLast ? { literal: '' } : { problem: 'a path template has no empty segments' };
  if (piece === '.' || piece === '..') return { problem: `\`${piece}\` is not a segment of a canonical path` };
  const [, parameter, typed = ''] = PARAMETER.exec(piece) ?? [];
  if (parameter !== undefined) {
    const type = parameterTypeFrom(typed);
    return 'problem' in type ? type : { parameter, type };
  }
  if (LITERAL.test(piece)) return { literal: piece };
  return { problem: `\`${piece}\` must be plain text or one whole \`{parameter}\`` };
}
