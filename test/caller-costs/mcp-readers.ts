import { carriedFrom } from '../../src/action/carried.ts';
import { isPlainError, mcpAnswerFrom } from '../../src/action/mcp-answer.ts';
import { mcpResumptionProblem, mcpRevisionOf, mcpSessionProblem } from '../../src/action/mcp-headers.ts';
import { isActedOn, otherInitialization, otherMetaFrom } from '../../src/action/mcp-meta.ts';
import { paramsProblem } from '../../src/action/mcp-params.ts';
import { shownName } from '../../src/action/argument-refusal.ts';
import { headersOf } from '../builders/http-call.ts';
import { pieces } from './reader.ts';
import type { Readers } from './reader.ts';

const members = (text: string): object => Object.fromEntries(pieces(text).map((piece, at) => [`${piece}${at}`, piece]));

/** The readers of what an MCP message carries besides arguments. */
export const mcpReaders: Readers = {
  'action/argument-refusal.ts shownName': (text) => shownName(text),
  'action/carried.ts carriedFrom': {
    name: (text) => carriedFrom(new Map([[text, text]])),
    names: (text) => carriedFrom(new Map(Object.entries(members(text)))),
  },
  'action/mcp-answer.ts mcpAnswerFrom': {
    content: (text) => mcpAnswerFrom({ action: 'accept', content: { [text]: text } }),
    contents: (text) => mcpAnswerFrom({ action: 'accept', content: members(text) }),
    text: (text) => mcpAnswerFrom({ role: 'user', model: text, content: { type: 'text', text } }),
    roots: (text) => mcpAnswerFrom({ roots: pieces(text).map((uri) => ({ uri })) }),
    member: (text) => mcpAnswerFrom({ action: text, [text]: text }),
  },
  'action/mcp-answer.ts isPlainError': (text) => isPlainError({ code: 1, message: text }),
  'action/mcp-headers.ts mcpRevisionOf': (text) => mcpRevisionOf(headersOf({ 'mcp-protocol-version': text })),
  'action/mcp-headers.ts mcpSessionProblem': (text) => mcpSessionProblem(headersOf({ 'mcp-session-id': text })),
  'action/mcp-headers.ts mcpResumptionProblem': (text) =>
    mcpResumptionProblem({ method: 'GET', headers: headersOf({ 'last-event-id': text }) }),
  'action/mcp-meta.ts isActedOn': (text) => isActedOn(text),
  'action/mcp-meta.ts otherMetaFrom': {
    key: (text) => otherMetaFrom({ [text]: text, traceparent: text, progressToken: text }),
    keys: (text) => otherMetaFrom(members(text)),
  },
  'action/mcp-meta.ts otherInitialization': (text) =>
    otherInitialization(
      new Map<string, unknown>([
        ['clientInfo', { name: text, [text]: text }],
        ['capabilities', members(text)],
      ]),
    ),
  'action/mcp-params.ts paramsProblem': {
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
  'action/action.ts attemptFrom': 'called by actionFrom',
  'action/action.ts routedAction': 'reads the path, as actionFrom does',
  'action/mcp-call.ts': 'called by mcpActionFrom',
  'action/mcp-inputs.ts': 'called by mcpActionFrom, with answers of mcpAnswerFrom and keys of the catalog',
  'action/readings.ts': 'values that were read',
};
