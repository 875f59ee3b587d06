import { actionReaders, notOfCallers } from './action-readers.ts';
import { edgeReaders, notAtTheEdge } from './edge-readers.ts';
import { grpcReaders, notOfGrpc } from './grpc-readers.ts';
import { mcpReaders, notOfMcp } from './mcp-readers.ts';
import type { Reader } from './reader.ts';
import { notOfTokens, tokenReaders } from './token-readers.ts';

/** All readers, by name; with more than one place, `name: place`. */
export const readerTable: ReadonlyMap<string, Reader> = new Map(
  Object.entries({ ...actionReaders, ...grpcReaders, ...mcpReaders, ...edgeReaders, ...tokenReaders }).flatMap(
    ([name, read]) =>
      typeof read === 'function'
        ? [[name, read] as const]
        : Object.entries(read).map(([place, each]) => [`${name}: ${place}`, each] as const),
  ),
);

/** Names that the table has. */
export const namedReaders: ReadonlySet<string> = new Set(
  [...readerTable.keys()].map((name) => name.split(': ')[0] ?? ''),
);

/** Files and exports that read no caller's text, with what they read. */
export const otherReaders: ReadonlyMap<string, string> = new Map(
  Object.entries({ ...notOfCallers, ...notOfGrpc, ...notOfMcp, ...notAtTheEdge, ...notOfTokens }),
);
