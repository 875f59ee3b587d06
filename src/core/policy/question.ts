import type { Catalog, Server } from '../action/catalog/catalog.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { CedarRecord, CedarValue } from './cedar-value.ts';

export type { CedarRecord, CedarValue } from './cedar-value.ts';

/** What the policies decide: may this agent do this, there, under these circumstances? */
export interface Question {
  readonly principal: SpiffeId;
  /** A catalog action, or `issue`. */
  readonly action: string;
  readonly server: Server;
  /** Such as `GET /v1/payments/{id}`; `null` if the resource is the server itself. */
  readonly endpoint: string | null;
  /** Valid by the generated schema, by construction. */
  readonly context: CedarRecord;
  /** A member of the context by name, without building the whole `context`; absent if not supported. */
  part?(name: string): CedarValue | undefined;
  /** Whether the engine is certain to accept the context (`isPlainValue`), without building it. */
  isPlain?(): boolean;
  /** The same question with the context terms of another catalog; absent if there are none. */
  inTermsOf?(terms: Terms): Question;
}

/** What a catalog adds to the context of every question, besides arguments. */
export type Terms = Pick<Catalog, 'timeZones' | 'subjectAttributes'>;
