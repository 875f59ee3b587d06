/** A Cedar value in JSON format. Extension values are times and decimals only; no value is an entity. */
export type CedarValue = string | number | boolean | readonly CedarValue[] | CedarRecord;

/** A Cedar record. Its names come from Remit or the catalog, never from the caller. */
export interface CedarRecord {
  readonly [name: string]: CedarValue;
}
