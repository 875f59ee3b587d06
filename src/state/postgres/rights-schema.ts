/** Version 9: how many ledgers must have a record before it is deleted, as each ledger asks for. */
export const RIGHTS_SCHEMA = `
ALTER TABLE relays ADD COLUMN copies smallint NOT NULL DEFAULT 1 CHECK (copies BETWEEN 1 AND 64);
`;
