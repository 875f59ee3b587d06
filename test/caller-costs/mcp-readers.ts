import { carriedFrom } from '../../src/core/action/http/carried.ts';
import { isPlainError, mcpAnswerFrom } from '../../src/core/action/mcp/mcp-answer.ts';
import { mcpResumptionProblem, mcpRevisionOf, mcpSessionProblem } from '../../src/core/action/mcp/mcp-headers.ts';
import { isActedOn, otherInitialization, otherMetaFrom } from '../../src/core/action/mcp/mcp-meta.ts';
import { looksLike, nameSkeleton } from '../../src/core/action/mcp/name-skeleton.ts';
import { shownTool } from '../../src/core/action/mcp/tool-changes.ts';
import { toolDifference } from '../../src/core/action/mcp/tool-difference.ts';
import { canonicalText, isToolPin, pinnedMembers, toolPin, unnamedPin } from '../../src/core/action/mcp/tool-pin.ts';
import { paramsProblem } from '../../src/core/action/mcp/mcp-params.ts';
import { shownName } from '../../src/core/action/arguments/argument-refusal.ts';
import { isProblem } from '../../src/core/runtime/problem.ts';
import { headersOf } from '../builders/http-call.ts';
import { pieces } from './reader.ts';
import type { Readers } from './reader.ts';

const members = (text: string): object => Object.fromEntries(pieces(text).map((piece, at) => [`${piece}${at}`, piece]));

/** The readers of what an MCP message carries besides arguments. */
export const mcpReaders: Readers = {
  'core/action/mcp/name-skeleton.ts nameSkeleton': (text) => nameSkeleton(text),
  'core/action/mcp/name-skeleton.ts looksLike': (text) => looksLike(text, `${text.slice(0, -1)}x`),
  'core/action/mcp/tool-changes.ts shownTool': (text) => shownTool(text),
  'core/action/mcp/tool-difference.ts toolDifference': (text) => toolDifference({ name: text }, { name: `${text}x` }),
  'core/action/mcp/tool-pin.ts canonicalText': (text) => canonicalText([text, members(text)]),
  'core/action/mcp/tool-pin.ts isToolPin': (text) => isToolPin(`sha-256:${text}`),
  'core/action/mcp/tool-pin.ts pinnedMembers': (text) => pinnedMembers({ name: text, ...members(text) }),
  'core/action/mcp/tool-pin.ts toolPin': (text) => toolPin({ name: text, inputSchema: members(text) }),
  'core/action/mcp/tool-pin.ts unnamedPin': (text) => {
    const unnamed = unnamedPin({ description: text, outputSchema: members(text) });
    return isProblem(unnamed) ? unnamed : unnamed.pinAs(text);
  },
  'core/action/arguments/argument-refusal.ts shownName': (text) => shownName(text),
  'core/action/http/carried.ts carriedFrom': {
    name: (text) => carriedFrom(new Map([[text, text]])),
    names: (text) => carriedFrom(new Map(Object.entries(members(text)))),
  },
  'core/action/mcp/mcp-answer.ts mcpAnswerFrom': {
    content: (text) => mcpAnswerFrom({ action: 'accept', content: { [text]: text } }),
    contents: (text) => mcpAnswerFrom({ action: 'accept', content: members(text) }),
    text: (text) => mcpAnswerFrom({ role: 'user', model: text, content: { type: 'text', text } }),
    roots: (text) => mcpAnswerFrom({ roots: pieces(text).map((uri) => ({ uri })) }),
    member: (text) => mcpAnswerFrom({ action: text, [text]: text }),
  },
  'core/action/mcp/mcp-answer.ts isPlainError': (text) => isPlainError({ code: 1, message: text }),
  'core/action/mcp/mcp-headers.ts mcpRevisionOf': (text) => mcpRevisionOf(headersOf({ 'mcp-protocol-version': text })),
  'core/action/mcp/mcp-headers.ts mcpSessionProblem': (text) =>
    mcpSessionProblem(headersOf({ 'mcp-session-id': text })),
  'core/action/mcp/mcp-headers.ts mcpResumptionProblem': (text) =>
    mcpResumptionProblem({ method: 'GET', headers: headersOf({ 'last-event-id': text }) }),
  'core/action/mcp/mcp-meta.ts isActedOn': (text) => isActedOn(text),
  'core/action/mcp/mcp-meta.ts otherMetaFrom': {
    key: (text) => otherMetaFrom({ [text]: text, traceparent: text, progressToken: text }),
    keys: (text) => otherMetaFrom(members(text)),
  },
  'core/action/mcp/mcp-meta.ts otherInitialization': (text) =>
    otherInitialization(
      new Map<string, unknown>([
        ['clientInfo', { name: text, [text]: text }],
        ['capabilities', members(text)],
      ]),
    ),
  'core/action/mcp/mcp-params.ts paramsProblem': {
    member: (text) => paramsProblem('tools/call', new Map([[text, text]]), '2025-11-25'),
    values: (text) =>
      paramsProblem(
        'logging/setLevel',
        new Map([
          ['level', text],
          ['cursor', text],
        ]),
        '2025-11-25',
      ),
  },
};

/** Exports that are called by those, or by mcpActionFrom. */
export const notOfMcp: Readonly<Record<string, string>> = {
  'core/action/action.ts attemptFrom': 'called by actionFrom',
  'core/action/action.ts routedAction': 'reads the path, as actionFrom does',
  'core/action/mcp/mcp-call.ts': 'called by mcpActionFrom',
  'core/action/mcp/mcp-inputs.ts': 'called by mcpActionFrom, with answers of mcpAnswerFrom and keys of the catalog',
  'core/action/arguments/readings.ts': 'values that were read',
};
