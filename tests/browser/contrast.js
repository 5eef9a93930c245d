// Every piece of visible text whose contrast with its ground is below `least` (WCAG 2.2, relative luminance).
(least) => {
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = numbers(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const drawn = element.matches("svg.icon");
    if (!(text || drawn) || !element.checkVisibility() || element.closest("option, .skip, noscript")) continue;
    const ink = drawn ? getComputedStyle(element).stroke : getComputedStyle(element).color;
    const [high, low] = [luminance(numbers(ink)), luminance(ground(element))].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < least) found.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)} ${element.textContent.trim()}`);
  }
  return found;
}
