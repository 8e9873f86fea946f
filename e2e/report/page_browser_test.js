(() => {
  const visible = e => e.getClientRects().length > 0;
  const rgb = text => (text.match(/[\d.]+/g) || [0, 0, 0]).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const opaque = text => { const c = rgb(text); return c.length < 4 || c[3] > 0; };
  const behind = e => {
    const box = e.previousElementSibling;
    if (box && box.tagName === 'rect') return rgb(getComputedStyle(box).fill);
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (opaque(c)) return rgb(c);
    }
    return [255, 255, 255];
  };

  let worst = 99, worstOf = 'no text was found';
  const compare = (ink, ground, what) => {
    const c = contrast(ink, ground);
    if (c < worst) { worst = c; worstOf = `${what}: ${ink} on ${ground}`; }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !visible(e) || e.tagName === 'title') continue;
    texts++;
    const style = getComputedStyle(e);
    compare(rgb(e instanceof SVGElement ? style.fill : style.color), behind(e), walker.currentNode.textContent.trim());
  }
  if (!texts) worst = 0;
  // What is written on the drawn bars of the phases.
  const resolved = name => {
    const probe = document.createElement('i');
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const c = rgb(getComputedStyle(probe).color);
    probe.remove();
    return c;
  };
  for (const ground of ['phase', 'phase-other']) compare(resolved('ink'), resolved(ground), ground);

  const inked = (svg, ink) => [...svg.querySelectorAll('path')].filter(p => p.getAttribute('style').includes(`var(--${ink})`));
  const charts = [...document.querySelectorAll('svg.chart')].filter(visible).map(svg => {
    const box = svg.getBoundingClientRect();
    const axis = inked(svg, 'axis').map(p => p.getBoundingClientRect()).sort((a, b) => b.width - a.width)[0];
    const lines = ['s1', 's2', 's3', 's4', 's5', 's6', 'phase'].reduce((n, ink) => n + inked(svg, ink).length, 0);
    const most = 1; // pixel, of the air around letters
    const cut = [...svg.querySelectorAll('text')].filter(t => {
      const b = t.getBoundingClientRect();
      return b.left < box.left - most || b.right > box.right + most || b.top < box.top - most || b.bottom > box.bottom + most;
    }).map(t => t.textContent);
    return { Title: svg.getAttribute('aria-label'), Width: box.width, Height: box.height, AxisLeft: axis.left, AxisRight: axis.right, Ink: lines, Cut: cut };
  });
  const second = [...document.querySelectorAll('svg.chart')].filter(visible)[1];
  const shade = inked(second, 'outage')[0].getBoundingClientRect();
  const verdict = document.querySelector('#verdict');
  const at = verdict.getBoundingClientRect();
  const edge = String(rgb(getComputedStyle(verdict.parentElement).borderLeftColor));
  return {
    Inner: innerWidth, InnerHeight: innerHeight, Scroll: document.scrollingElement.scrollWidth,
    Verdict: { Text: verdict.textContent.trim(), Edge: ['pass', 'fail', 'inconclusive', 'infrastructure'].find(role => String(resolved(role)) === edge), Top: at.top, Bottom: at.bottom },
    Charts: charts, Worst: worst, WorstOf: worstOf,
    Outage: { X: shade.x + scrollX, Y: shade.y + scrollY, Width: shade.width, Height: shade.height },
    Headings: [...document.querySelectorAll('h2')].map(h => h.textContent), Scripts: document.scripts.length,
  };
})()
