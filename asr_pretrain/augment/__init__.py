"""The simulated car that every training and scoring shares: levels, cabins, noises, and their drawing."""
