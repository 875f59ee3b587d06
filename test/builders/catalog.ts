import { catalogFrom } from '../../src/core/action/catalog/catalog-assembly.ts';
import type { Catalog } from '../../src/core/action/catalog/catalog.ts';
import { must } from './must.ts';

/** The catalog of a text; throws where it has findings. */
export const mustCatalog = (text: string): Catalog => must(catalogFrom(text, 'actions.yaml'));
