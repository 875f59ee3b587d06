import { isCastDouble } from './cast-double.ts';
import { expressionProblem } from './expression-cost.ts';
import { mayNotExpect } from './lone-expect.ts';

/** What of a syntax tree the rule reads. */
interface Node {
  readonly type: string;
  readonly value?: unknown;
  readonly regex?: { readonly pattern: string; readonly flags: string };
  readonly callee?: Node & { readonly name?: string };
  readonly arguments?: readonly Node[];
  readonly expression?: Node;
  readonly typeAnnotation?: { readonly type: string };
}

interface Context {
  readonly report: (found: { readonly node: Node; readonly message: string }) => void;
}

const ADVICE =
  'anchor it, bound its repetitions to 64, or search by `indexOf`; if its text cannot be a caller’s or is bounded, disable the rule on its line and say so';
const LONE =
  'nothing is expected if this condition does not hold: expect one value that has the condition in it, or say in an `else` what holds then';

const DOUBLE =
  'a double whose type nothing checks fails only where what it lacks is read: make it whole by a builder of `test/builders/`, or type it as the `Pick` that is read';

/**
 * Rules of this project for oxlint. `remit/linear-expression` refuses a regular expression that can take more than linear time, and one made
 * at run time, of which that is not known: one over a tool's name held the event loop for seconds. `remit/no-lone-expect` refuses an expectation
 * of a test that a condition may skip, with nothing in its place. `remit/no-cast-double` refuses an object literal that a cast gives a type.
 */
export default {
  meta: { name: 'remit' },
  rules: {
    'linear-expression': {
      create(context: Context) {
        const examine = (node: Node, source: string, flags: string): void => {
          const problem = expressionProblem(source, flags);
          if (problem !== null)
            context.report({ node, message: `this expression is not linear: ${problem}; ${ADVICE}` });
        };
        const examineMade = (node: Node): void => {
          if (node.callee?.type !== 'Identifier' || node.callee.name !== 'RegExp') return;
          const [source, flags] = node.arguments ?? [];
          const isKnown = source?.type === 'Literal' && (flags === undefined || flags.type === 'Literal');
          if (isKnown && typeof source.value === 'string')
            examine(node, source.value, typeof flags?.value === 'string' ? flags.value : '');
          else if (source?.regex === undefined)
            context.report({ node, message: `the cost of an expression made at run time is not known; ${ADVICE}` });
        };
        return {
          Literal(node: Node) {
            if (node.regex !== undefined) examine(node, node.regex.pattern, node.regex.flags);
          },
          NewExpression: examineMade,
          CallExpression: examineMade,
        };
      },
    },
    'no-cast-double': {
      create: (context: Context) => ({
        TSAsExpression(node: Node) {
          if (isCastDouble(node)) context.report({ node, message: DOUBLE });
        },
      }),
    },
    'no-lone-expect': {
      create: (context: Context) => ({
        IfStatement(node: Node) {
          if (mayNotExpect(node)) context.report({ node, message: LONE });
        },
      }),
    },
  },
};
