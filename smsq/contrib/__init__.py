"""What fits smsq into web frameworks. Each part needs its framework, and `import smsq` needs none of them."""
