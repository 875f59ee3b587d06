import type { Entry } from '../../policy/import/entry.ts';

/** Catalog entries of API descriptions, which win over guesses. */
export interface ApiDescriptions {
  /** Tools by name. */
  readonly tools: ReadonlyMap<string, Entry>;
  /** Methods of gRPC services, by `package.Service/Method`. */
  readonly methods: ReadonlyMap<string, Entry>;
  /** Operations by action id. */
  readonly operations: ReadonlyMap<string, Entry>;
  /** The file of the descriptor set that the methods are of; `null` for none. */
  readonly descriptorSet: string | null;
}
