/** Of a syntax tree: what a cast casts, and to what. */
interface Cast {
  readonly type: string;
  readonly expression?: Cast;
  readonly typeAnnotation?: { readonly type: string };
}

/**
 * Whether a cast gives an object literal a type that nothing checks: `{ … } as unknown as Check`, `{ … } as never`. Such a double of a type goes on
 * compiling when the type changes, and fails only where what it lacks is read.
 *
 * @param node a `TSAsExpression`
 */
export function isCastDouble({ expression, typeAnnotation }: Cast): boolean {
  if (expression === undefined) return false;
  if (typeAnnotation?.type === 'TSNeverKeyword') return isObject(expression);
  const isOfUnknown = expression.type === 'TSAsExpression' && expression.typeAnnotation?.type === 'TSUnknownKeyword';
  return isOfUnknown && expression.expression !== undefined && isObject(expression.expression);
}

const isObject = ({ type }: Cast): boolean => type === 'ObjectExpression';
