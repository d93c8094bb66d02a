"""Writes the O'Hara-Rudy cell in C, right-hand side and exact sparse Jacobian, from the equations in ohara_rudy.txt: `ohara_rudy.py > ohara_rudy.h`.

What a careful author would do by hand: exponentials of the potential with the same slope are taken once (exp(a V + b) is a constant times
exp(a V), and exp(-a V) its reciprocal), constants are folded, no `pow` but the one with a broken exponent, common subexpressions are shared.
The Jacobian is differentiated statement by statement (chain rule), then shared again; it is stored by columns, without its zeros.
"""

import pathlib

import sympy as sp
from sympy.printing.c import C99CodePrinter


class u(sp.Function):
    """x / (e - 1), e = exp(x) being at hand."""

    def fdiff(self, argindex=1):
        return du(*self.args) if argindex == 1 else sp.Integer(0)  # the first is the derivative along both


class du(sp.Function):
    pass


class Printer(C99CodePrinter):
    def _print_Pow(self, e):
        base, power = e.as_base_exp()
        if power.is_Integer:
            # x^n by squaring: a product of x^(2^k), of which cse has made names where they are shared
            text = product(self.parenthesize(base, 1000), abs(int(power)))
            return f"1/({text})" if power < 0 else f"({text})"
        return super()._print_Pow(e)

    def _print_Heaviside(self, e):
        return f"({self._print(e.args[0])} > 0 ? 1.0 : 0.0)"

    def _print_Function(self, e):
        return f"{type(e).__name__}({', '.join(map(self._print, e.args))})" if isinstance(e, (u, du)) else super()._print_Function(e)


def product(x, n):
    if n == 1:
        return x
    half = product(x, n // 2)
    square = f"square({half})"
    return square if n % 2 == 0 else f"{square}*{x}"


NCX = """
q1 = 1+Na/88.12*(1+hN)
q2 = Na*hN/(88.12*q1)
q4 = 1+Na/15*(1+Na/5)
q7 = 1+Nao/88.12*(1+1/hN)
q8 = Nao/(88.12*hN*q7)
q10 = 13.5+Nao/15*(1+Nao/5)
k1 = 1.5e6*Cao/q10
k3 = 6e4/q7+5e3*q8
k4 = 6e4/(q1*hC)+5e3*q2
k6 = 1.5e6*Ca/q4
k7 = 6e4*q2*Na**2/(q4*75)
k8 = 6e4*q8*Nao**2/(q10*75)
X1 = 5e3*k4*(k7+k6)+5e3*k7*(5e3+k3)
X2 = k1*k7*(k4+5e3)+k4*k6*(k1+k8)
X3 = k1*k3*(k7+k6)+k8*k6*(5e3+k3)
X4 = 5e3*k8*(k4+5e3)+k3*5e3*(k1+k8)
ncx = (3*(X4*k7-X1*k8)+X3*5e3*q2-X2*5e3*q8+2*(X2*5e3-X1*k1))/((X1+X2+X3+X4)*(1+(1.5e-4/Ca)**2))
"""

names, known, statements, derivative = [], {}, [], {}
V, i_stim = sp.Symbol("V"), sp.Symbol("i_stim")
slopes = {}


def exp(x):
    """exp of something linear in V as constant * e_slope^(+-1); sharing what has the same slope."""
    x = sp.expand(x.subs(values) if hasattr(x, "subs") else x)
    a, b = sp.Poly(x, V).all_coeffs()
    # the square of a steep one's reciprocal would overflow in the derivative
    slope = abs(a) if abs(a) < 1 else a
    key = round(float(slope), 14)
    if key not in slopes:
        slopes[key] = sp.Symbol(f"e_{len(slopes)}")
        statements.append((slopes[key], sp.exp(slope * V, evaluate=False)))
    return sp.exp(b).evalf() * slopes[key] ** (1 if a * slope > 0 else -1)


values = {}  # definitions that are linear in V or constant, put in where they are used
tools = {"exp": exp, "sg": lambda x: 1 / (1 + exp(x)), "u": u, "log": sp.log, "sqrt": sp.sqrt, "max": lambda a, b: sp.Max(a, b)}


def define(name, text):
    e = sp.sympify(eval(text, {"__builtins__": {}}, tools | known))
    s = sp.Symbol(name)
    if not e.free_symbols or name == "phi":
        values[s] = known[name] = e.evalf()
        return
    known[name] = s
    statements.append((s, e))


for line in pathlib.Path(__file__).with_name("ohara_rudy.txt").read_text().splitlines():
    words = line.split()
    if not words or line.startswith("#"):
        continue
    if words[0] == "states":
        names = words[1:]
        known |= {n: sp.Symbol(n) for n in names} | {"Iapp": i_stim}
    elif words[0] == "NCX":
        tag, na, ca = words[1:]
        scope = dict(known)
        known |= {"Na": known[na], "Ca": known[ca]}
        for inner in NCX.split("\n"):
            if inner:
                name, text = inner.split(" = ")
                define(f"{name}_{tag}", text)
                known[name] = known[f"{name}_{tag}"]
        known = scope | {f"ncx_{tag}": known[f"ncx_{tag}"]}
    elif "|" in line:
        name, steady, tau = line.split(" | ")
        # a rate instead of a time constant saves nothing here: sympy sees the quotient
        derivative[name] = (eval(steady, {"__builtins__": {}}, tools | known) - known[name]) / eval(tau, {"__builtins__": {}}, tools | known)
    else:
        name, text = line.split(" = ")
        if name.startswith("d."):
            derivative[name[2:]] = eval(text, {"__builtins__": {}}, tools | known)
        else:
            define(name, text)

printer = Printer()
states = [sp.Symbol(n) for n in names]
statements.sort(key=lambda s: not str(s[0]).startswith("e_"))  # the exponentials of V first: they depend on nothing else


def emit(wanted, prelude):
    """C for `prelude` (statements in order) and then `wanted` (target, expression), with common subexpressions named."""
    symbols = sp.numbered_symbols("t")
    shared, reduced = sp.cse([e for _, e in prelude] + [e for _, e in wanted], symbols=symbols, optimizations="basic", order="none")
    targets = [str(s) for s, _ in prelude] + [t for t, _ in wanted]
    pending = [(f"const double {t}", e) if k < len(prelude) else (t, e) for k, (t, e) in enumerate(zip(targets, reduced))]
    pending = [(f"const double {s}", e) for s, e in shared] + pending
    defined = {str(s) for s in states} | {"i_stim"}
    ordered = []
    # order by what is known already: cse does not know that statements name each other
    while pending:
        later = []
        for target, e in pending:
            if all(str(s) in defined for s in e.free_symbols):
                ordered.append((target, e))
                defined.add(target.removeprefix("const double "))
            else:
                later.append((target, e))
        assert len(later) < len(pending), later
        pending = later
    # currents whose derivatives alone are wanted fall away
    read = set()
    for k in reversed(range(len(ordered))):
        target, e = ordered[k]
        if target.startswith("const ") and target.removeprefix("const double ") not in read:
            del ordered[k]
        else:
            read |= {str(s) for s in e.free_symbols}
    return "\n".join(
        [f"  const double {n} = x[{i}];" for i, n in enumerate(names) if n in read] + [f"  {t} = {printer.doprint(e)};" for t, e in ordered]
    )


rhs = emit([(f"dx[{i}]", derivative[n]) for i, n in enumerate(names)], statements)

# total derivatives by the states: of every statement, from those before it
total, prelude, by_name = {}, list(statements), {s: k for k, (s, _) in enumerate(statements)}


def gradient(e):
    out = {}
    for s in e.free_symbols:
        part = sp.diff(e, s)
        if part == 0:
            continue
        for state, inner in ({s: sp.Integer(1)} if s in states else total.get(s, {})).items():
            out[state] = out.get(state, 0) + part * inner
    return out


for s, e in statements:
    g = {}
    for state, value in gradient(e).items():
        name = sp.Symbol(f"{s}_{state}")
        prelude.append((name, value))
        g[state] = name
    total[s] = g

columns, rows, wanted = [0], [], []
gradients = [gradient(sp.sympify(derivative[n])) for n in names]
for j, state in enumerate(states):
    for i in range(len(names)):
        if state in gradients[i] or i == j:
            wanted.append((f"entries[{len(rows)}]", gradients[i].get(state, sp.Integer(0))))
            rows.append(i)
    columns.append(len(rows))

print(f"""/* Written by ohara_rudy.py. */
static const int ohara_rudy_columns[] = {{{", ".join(map(str, columns))}}};
static const int ohara_rudy_rows[] = {{{", ".join(map(str, rows))}}};

static void ohara_rudy_rhs(const double *restrict x, double p_unused, double i_stim, double *restrict dx) {{
  (void)p_unused;
{rhs}
}}

static void ohara_rudy_jacobian(const double *restrict x, double p_unused, double i_stim, double *restrict entries) {{
  (void)p_unused, (void)i_stim;
{emit(wanted, prelude)}
}}""")
